// Small behaviour every page shares. No inline script, no eval: htmx expressions are switched off.
"use strict";

if (window.htmx) {
  window.htmx.config.allowEval = false;
  window.htmx.config.includeIndicatorStyles = false; // in switchboard.css
  window.htmx.config.selfRequestsOnly = true;
  // A form that comes back with errors is shown like any other answer.
  window.htmx.config.responseHandling.unshift({ code: "422", swap: true });
}

// htmx requests carry Django's CSRF token.
document.addEventListener("htmx:configRequest", (event) => {
  const cookie = document.cookie.split("; ").find((pair) => pair.startsWith("csrftoken="));
  if (cookie) {
    event.detail.headers["X-CSRFToken"] = cookie.slice("csrftoken=".length);
  }
});

// <button data-copy="text to copy" data-copied="Copied">: copies, says so to eyes and screen readers, and goes back.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) {
    return;
  }
  const label = button.querySelector("[data-copy-label]") || button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    // Browsers offer the clipboard on https and localhost only: select the text instead, so that Ctrl+C takes it.
    const shown = document.getElementById(button.dataset.copyFrom);
    if (shown) {
      window.getSelection().selectAllChildren(shown);
    }
    return;
  }
  label.textContent = button.dataset.copied || before;
  button.setAttribute("aria-live", "polite");
  window.setTimeout(() => {
    label.textContent = before;
  }, 2000);
});

// After a refused form the cursor is in the first wrong field, else at the sentence that says what is the matter.
document.addEventListener("DOMContentLoaded", () => {
  const summary = document.getElementById("form-errors") || document.getElementById("changed");
  if (summary) {
    (document.querySelector("[aria-invalid='true']") || summary).focus();
  }
});

// <form data-busy="Reading the file…">: the button says so and takes no second click.
document.addEventListener("submit", (event) => {
  const busy = event.target.dataset.busy;
  const button = event.submitter || event.target.querySelector("[type=submit]");
  if (busy && button) {
    window.setTimeout(() => {
      button.disabled = true; // after the browser has read the form, the button's own value included
      button.textContent = busy;
    });
  }
});

// Back from the next page the button works again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    window.location.reload();
  }
});

// Paper is light: what is dark on the screen would be black on black.
let wasDark = false;
window.addEventListener("beforeprint", () => {
  wasDark = document.documentElement.classList.contains("dark");
  document.documentElement.classList.remove("dark");
});
window.addEventListener("afterprint", () => document.documentElement.classList.toggle("dark", wasDark));
