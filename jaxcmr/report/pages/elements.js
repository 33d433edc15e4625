"use strict";
// What the scripts of all pages share. Texts of the data reach a page as text nodes alone.

const $ = (id) => document.getElementById(id);

// Makes an element; an attribute that is a function listens to the event of its name.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// Control characters and marks that turn the direction of what follows are written as codes.
function shown(text, most = 80) {
  const code = (mark) => `\\u${mark.codePointAt(0).toString(16).padStart(4, "0")}`;
  const letters = [...text.slice(0, 4 * most)];
  const cut = letters.length > most ? letters.slice(0, most - 1).join("") + "…" : letters.join("");
  return cut.replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, code);
}

const absent = (text) => make("div", { class: "absent" }, shown(text, 200));

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

