// The pages under Admin → Extensions. Without it everything works too.
"use strict";

// <button data-use="35312345678" data-for="id_sender">: takes the corrected value.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-use]");
  if (button) {
    const field = document.getElementById(button.dataset.for);
    field.value = button.dataset.use;
    for (const kind of ["input", "change"]) {
      field.dispatchEvent(new Event(kind, { bubbles: true }));
    }
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

// <button data-show="id_auth_token">: shows what is being typed there, and hides it again. What is kept is not there.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-show]").forEach((button) => {
    button.hidden = false;
    button.dataset.showLabel = button.textContent;
  });
});
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-with-script]").forEach((part) => {
    part.hidden = false;
  });
});
function reveal(field, shown) {
  field.type = shown ? "text" : "password";
  const button = document.querySelector(`[data-show="${field.id}"]`);
  if (button) {
    button.textContent = shown ? button.dataset.hideLabel : button.dataset.showLabel;
    button.setAttribute("aria-pressed", String(shown));
  }
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-show]");
  if (button) {
    const field = document.getElementById(button.dataset.show);
    reveal(field, field.type === "password");
    field.focus();
  }
});
document.addEventListener("submit", (event) => {
  // A browser would offer to remember what it sees as text, and show it again when somebody comes back.
  event.target.querySelectorAll("[data-show]").forEach((button) => reveal(document.getElementById(button.dataset.show), false));
});

// What was said of a field that somebody has left: the value that counts takes the place of what was typed, unless
// somebody is typing there again.
document.addEventListener("htmx:afterSwap", (event) => {
  const said = event.target;
  const form = said.closest("#account-form");
  if (!form) {
    return;
  }
  if (said.querySelector("[name=swap]")) {
    // It is about two fields, and said once.
    form.querySelectorAll(".ext-said").forEach((other) => other !== said && other.querySelector("[name=swap]") && other.replaceChildren());
  }
  const { elt, triggeringEvent, parameters } = event.detail.requestConfig || {};
  const right = said.querySelector("[data-put-right]");
  if (right && elt && elt.id === right.dataset.for && triggeringEvent?.type === "change") {
    const sent = typeof parameters?.get === "function" ? parameters.get(elt.name) : parameters?.[elt.name];
    if (elt.value === sent) {
      elt.value = right.dataset.putRight;
    }
  }
  if (elt && elt.name) {
    const wrong = Boolean(said.querySelector(".sb-error"));
    elt.toggleAttribute("aria-invalid", false);
    if (wrong) {
      elt.setAttribute("aria-invalid", "true");
    }
    if (said.id === "sender-preview") {
      document.getElementById("said-sender").replaceChildren(); // what was said of it before
    }
  }
});

// Whoever presses a button of the form leaves a field by it. What would be said of that field must not push the button
// away from under the pointer: nothing is asked or shown until it is released. The submit looks at everything anyway.
let isPressing = false;
document.addEventListener(
  "pointerdown",
  (event) => {
    isPressing = Boolean(event.target.closest?.("#account-form button, #account-form a"));
  },
  true,
);
for (const released of ["pointerup", "pointercancel"]) {
  document.addEventListener(released, () => window.setTimeout(() => (isPressing = false)), true);
}
document.addEventListener("htmx:beforeSwap", (event) => {
  if (isPressing && event.target.closest("#account-form")) {
    event.detail.shouldSwap = false;
  }
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (isPressing && event.target.matches("#account-form input, #account-form textarea, #account-form select")) {
    event.preventDefault();
  }
});

// What is misplaced on a page that comes back is said there: that is where reading goes on.
document.addEventListener("DOMContentLoaded", () => document.getElementById("exchanged")?.focus());

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
  field.value = value;
  reveal(field, true);
  for (const kind of ["input", "change"]) {
    field.dispatchEvent(new Event(kind, { bubbles: true }));
  }
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
    if (!event.target.matches("[data-polls]") && !event.target.closest("#account-form")) {
      window.location.reload(); // but never away from under what somebody is typing
    }
  });
}
