// The phones of the simulated people. Without it one reloads the page.
"use strict";

// Each phone shows its newest text, as a phone does.
function toTheEnd() {
  document.querySelectorAll(".phn-texts").forEach((texts) => {
    texts.scrollTop = texts.scrollHeight;
  });
}
document.addEventListener("DOMContentLoaded", toTheEnd);

// News comes every two seconds, but not while somebody writes an answer or reads further up.
document.addEventListener("htmx:beforeRequest", (event) => {
  const phones = document.getElementById("phones");
  if (event.target !== phones) {
    return;
  }
  const isWriting = [...phones.querySelectorAll(".phn-text")].some((box) => box.value || box === document.activeElement);
  const isReading = [...phones.querySelectorAll(".phn-texts")].some(
    (texts) => texts === document.activeElement || texts.scrollHeight - texts.scrollTop - texts.clientHeight > 40,
  );
  if (isWriting || isReading || document.hidden) {
    event.preventDefault();
  }
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "phones") {
    toTheEnd();
  }
});
