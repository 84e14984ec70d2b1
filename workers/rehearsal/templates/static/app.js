// The list follows what is typed or chosen. Without this script the same forms work by their buttons.
"use strict";

document.documentElement.classList.add("live");

const list = document.getElementById("list");
const forms = [...document.querySelectorAll("form[data-live]")];
let latest = 0;
let timer;

function address() {
  const query = new URLSearchParams();
  for (const form of forms) {
    for (const control of form.elements) {
      if (control.name && control.type !== "hidden" && control.value) query.set(control.name, control.value);
    }
  }
  const text = query.toString();
  return text ? `/?${text}` : "/";
}

async function refresh() {
  const mine = ++latest;
  const url = address();
  try {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== latest) return; // a newer question is on its way
    list.replaceChildren(...page.getElementById("list").childNodes);
    const [here, there] = [document, page].map((side) => side.querySelector("a[download]"));
    if (here && there) here.href = there.href;
    history.replaceState(null, "", url);
  } catch {
    window.location.assign(url);
  }
}

for (const form of forms) {
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, 150);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    refresh();
  });
}
