// The form of a survey: each question shows only the fields that its type has. Without it all are shown.
"use strict";

const OPTIONAL_FIELDS = ["choices", "minimum", "maximum", "required", "error_text"];
const NOT_SENT = ["choices", "minimum", "maximum"]; // hidden, they must be empty: a disabled field is not sent

function showWhatTheTypeHas(question) {
  const kind = question.querySelector("select[name$=-kind]");
  if (!kind) {
    return;
  }
  const shown = JSON.parse(kind.dataset.fieldsOf)[kind.value]; // from surveys/question_types.py
  for (const name of OPTIONAL_FIELDS) {
    const input = question.querySelector(`[name$=-${name}]`);
    const isShown = shown.includes(name);
    input.closest(".form-row").hidden = !isShown;
    input.disabled = !isShown && NOT_SENT.includes(name);
  }
}

function questionsIn(part) {
  return part.querySelectorAll("#questions-data > .form-group:not(.empty-form)");
}

document.addEventListener("DOMContentLoaded", () => {
  questionsIn(document).forEach(showWhatTheTypeHas);
});
document.addEventListener("formset:added", (event) => {
  showWhatTheTypeHas(event.target);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("#questions-group select[name$=-kind]")) {
    showWhatTheTypeHas(event.target.closest(".form-group"));
  }
});

// unfold's dragging numbers saved questions from 0; people count from 1.
document.addEventListener("end", (event) => {
  if (event.target.id === "questions-data") {
    window.setTimeout(() => {
      event.target.querySelectorAll(".form-group.original input[name$=-place]").forEach((input, index) => {
        input.value = index + 1;
      });
    });
  }
});
