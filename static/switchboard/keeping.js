// What somebody has written outlives the end of their session: it is kept in this window until they are back on the page.
// Only for them, for an hour at most, and never a password, a secret or a file.
"use strict";

const KEPT_FOR = 60 * 60 * 1000; // ms
const PREFIX = "written:";
const OVER = "written-over"; // the session has ended since
const NOT_KEPT = ["hidden", "password", "file", "submit", "button"];

const reader = () => document.getElementById("sb-reader")?.dataset.reader || "";
// A form that asks for a secret is left out as a whole: people paste secrets into the field beside it, too.
const asksForSecret = (form) => form.querySelector("[type=password], [data-secret]") !== null;
const forms = () => [...document.querySelectorAll("main form[method=post]")].filter((form) => !asksForSecret(form));
const isAnythingKept = () => Object.keys(sessionStorage).some((key) => key.startsWith(PREFIX));
const fieldsOf = (form) =>
  [...form.elements].filter(
    (field) => field.name && !NOT_KEPT.includes(field.type) && !field.matches("[data-secret], [autocomplete=one-time-code]"),
  );
const isChosen = (field) => field.type === "checkbox" || field.type === "radio";
const valueOf = (field) => {
  if (isChosen(field)) {
    return [field.value, field.checked];
  }
  return field.multiple ? [...field.selectedOptions].map((option) => option.value) : field.value;
};

function forget() {
  Object.keys(sessionStorage)
    .filter((key) => key.startsWith(PREFIX) || key === OVER)
    .forEach((key) => sessionStorage.removeItem(key));
}

function keep() {
  const written = forms().map((form) => fieldsOf(form).map((field) => [field.name, valueOf(field)]));
  if (reader() && written.some((fields) => fields.length)) {
    sessionStorage.setItem(PREFIX + location.pathname, JSON.stringify({ reader: reader(), at: Date.now(), written }));
  }
}

// Puts back what differs; whether anything did.
function restore() {
  const kept = JSON.parse(sessionStorage.getItem(PREFIX + location.pathname) || "null");
  if (!kept || kept.reader !== reader() || Date.now() - kept.at > KEPT_FOR) {
    return false;
  }
  const changed = [];
  forms().forEach((form, place) => {
    const left = [...(kept.written[place] || [])];
    for (const field of fieldsOf(form)) {
      const found = left.findIndex(([name, value]) => name === field.name && (!isChosen(field) || value[0] === field.value));
      const [, value] = found < 0 ? [] : left.splice(found, 1)[0];
      if (value === undefined || JSON.stringify(value) === JSON.stringify(valueOf(field))) {
        continue;
      }
      if (isChosen(field)) {
        field.checked = value[1];
      } else if (field.multiple) {
        [...field.options].forEach((option) => {
          option.selected = value.includes(option.value);
        });
      } else {
        field.value = value;
      }
      changed.push(field);
    }
  });
  changed.forEach((field) => {
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  });
  return changed.length > 0;
}

// Before anything is sent: what comes back may be the log-in page.
document.addEventListener(
  "submit",
  () => {
    if (reader()) { // and not the log-in itself
      sessionStorage.removeItem(OVER); // of an earlier time: what this one answers is not to be written over
      keep();
    }
  },
  true,
);
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const answer = event.detail.xhr;
  if (answer.getResponseHeader("HX-Redirect") || answer.getResponseHeader("HX-Refresh")) {
    keep();
    sessionStorage.setItem(OVER, "1");
  }
});

// After scripts that build a page's fields have run.
window.addEventListener("load", () => {
  if (!reader() || document.querySelector("[data-session-over]")) {
    if (isAnythingKept()) {
      sessionStorage.setItem(OVER, "1");
    }
    return;
  }
  const isBack = sessionStorage.getItem(OVER) !== null && sessionStorage.getItem(PREFIX + location.pathname) !== null;
  const isRestored = isBack && restore();
  if (isBack || sessionStorage.getItem(OVER) === null) {
    forget();
  }
  const note = document.getElementById("sb-kept");
  if (isRestored && note) {
    note.hidden = false;
  }
});
