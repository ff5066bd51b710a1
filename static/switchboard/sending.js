// The pages of contacts and distributions. Without it everything works too.
"use strict";

// unfold's script expects its own widget around every file field, and fails where there is none.
for (const input of document.querySelectorAll(".snd-file")) {
  input.hasChangeListener = true;
}

// <button data-insert="${m://FirstName|}" data-caret="-1">: puts a placeholder where the cursor is.
document.addEventListener("click", (event) => {
  const insert = event.target.closest("[data-insert]");
  const replace = event.target.closest("[data-replace-text]");
  const text = document.getElementById("id_message_text");
  if (!text || !(insert || replace)) {
    return;
  }
  if (replace) {
    text.value = replace.dataset.replaceText;
  } else {
    const caret = text.selectionStart + insert.dataset.insert.length + Number(insert.dataset.caret || 0);
    text.setRangeText(insert.dataset.insert, text.selectionStart, text.selectionEnd, "end");
    text.setSelectionRange(caret, caret);
  }
  text.focus();
  text.dispatchEvent(new Event("input", { bubbles: true }));
});

// <div data-shown-when="later">: only while the choice "when" has this value. Without scripts it is always there.
function showWhatIsChosen() {
  const chosen = document.querySelector("input[name=when]:checked");
  for (const part of document.querySelectorAll("[data-shown-when]")) {
    part.hidden = !chosen || chosen.value !== part.dataset.shownWhen;
  }
}
document.addEventListener("change", (event) => {
  if (event.target.name === "when") {
    showWhatIsChosen();
  }
});
document.addEventListener("DOMContentLoaded", showWhatIsChosen);
