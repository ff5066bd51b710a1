// The pages under Admin → Extensions. Without it everything works too.
"use strict";

// <button data-use="35312345678" data-for="id_sender">: takes the corrected value.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-use]");
  if (button) {
    const field = document.getElementById(button.dataset.for);
    field.value = button.dataset.use;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  }
});

// <div data-example-for="account-form">: its button fills in the values that a simulated provider takes.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-example-for]").forEach((offer) => {
    offer.hidden = false;
    offer.querySelector("button").addEventListener("click", () => {
      const form = document.getElementById(offer.dataset.exampleFor);
      const values = JSON.parse(document.getElementById("example-account").textContent);
      for (const [name, value] of Object.entries(values)) {
        const field = form.elements.namedItem(name);
        if (field && (name !== "name" || !field.value)) {
          field.value = value;
          field.dispatchEvent(new Event("input", { bubbles: true }));
        }
      }
      form.querySelector("[type=submit]").focus();
    });
  });
});

// <button data-generate="20" data-for="id_webhook_password">: fills in that many random letters and digits, and shows them
// once, since they have to be entered at the provider too.
const LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"; // none that look alike
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-generates]").forEach((row) => {
    row.hidden = false;
  });
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-generate]");
  if (!button) {
    return;
  }
  let value = "";
  while (value.length < Number(button.dataset.generate)) {
    const [number] = window.crypto.getRandomValues(new Uint8Array(1));
    if (number < 256 - (256 % LETTERS.length)) {
      value += LETTERS[number % LETTERS.length]; // each of them equally often
    }
  }
  const field = document.getElementById(button.dataset.for);
  field.type = "text";
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  const row = button.closest("[data-generates]");
  const copy = row.querySelector("[data-copy]");
  copy.dataset.copy = value;
  copy.hidden = false;
  const said = row.querySelector("[data-said]");
  said.textContent = said.dataset.said;
  copy.focus();
});

// The check-list looks for news every few seconds, but not while somebody is typing in it or waits for an answer. What
// has an id keeps the focus when the list is exchanged: htmx gives it to the new element of that id.
document.addEventListener("htmx:beforeRequest", (event) => {
  const list = event.target.closest("#check-list");
  if (list && event.target.matches("[data-polls]")) {
    const focused = document.activeElement;
    const losing = list.contains(focused) && (focused.matches("input") ? focused.value : !focused.id);
    if (losing || list.querySelector("form.htmx-request")) {
      event.preventDefault();
    }
  }
});

// A button whose work is done is gone: whoever pressed it goes on from the head of the list, not from the top of the page.
document.addEventListener("htmx:afterSwap", (event) => {
  const pressed = event.detail.requestConfig?.verb === "post" && event.target.id === "check-list";
  if (pressed && document.activeElement === document.body) {
    document.getElementById("set-up").focus({ preventScroll: true });
  }
});

// What was asked for did not happen (signed out, deleted meanwhile, no connection): show the page as it is now.
for (const trouble of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(trouble, (event) => {
    if (!event.target.matches("[data-polls]")) {
      window.location.reload();
    }
  });
}
