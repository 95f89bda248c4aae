// Narrows lists down as one types; without it the pages are whole. Nothing is fetched.
"use strict";

const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

function filterTable(field) {
  const rows = document.querySelectorAll(`#${field.dataset.filters} tbody tr`);
  field.addEventListener("input", () => {
    const wanted = words(field.value);
    for (const row of rows) row.hidden = !wanted.every((word) => row.textContent.toLowerCase().includes(word));
  });
}

function searchPages(field) {
  const { properties, pages } = window.flowPages;
  const lowered = properties.map((name) => name.toLowerCase());
  const items = [...document.querySelectorAll(".item")];
  const sections = [...document.querySelectorAll(".kind")];
  const found = document.getElementById("found");

  const show = () => {
    const wanted = words(field.value);
    const matching = wanted.map((word) => new Set(lowered.flatMap((name, number) => (name.includes(word) ? [number] : []))));
    let count = 0;
    items.forEach((item, place) => {
      const [text, has] = pages[place];
      const by = new Set();
      item.hidden = !wanted.every((word, number) => {
        if (text.includes(word)) return true;
        const hits = has.filter((property) => matching[number].has(property));
        hits.forEach((property) => by.add(properties[property]));
        return hits.length > 0;
      });
      if (!item.hidden) count += 1;
      const told = item.querySelector(".matched");
      const names = [...by];
      told.hidden = names.length === 0;
      told.textContent = names.length ? `has ${names.slice(0, 6).join(", ")}${names.length > 6 ? ` and ${names.length - 6} more` : ""}` : "";
    });
    for (const section of sections) section.hidden = !section.querySelector(".item:not([hidden])");
    found.textContent = wanted.length ? `${count} ${count === 1 ? "page" : "pages"} found` : "";
  };

  field.value = new URLSearchParams(location.search).get("q") || "";
  field.form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", show);
  show();
}

document.querySelectorAll("[data-filters]").forEach(filterTable);
const search = document.getElementById("search");
if (search && window.flowPages) searchPages(search);

window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
