// Small help with elements. Text is always text: nothing here, or elsewhere, parses HTML.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "disabled", "checked", "hidden", "tabIndex", "textContent"]);

/** An element with attributes, listeners (`onclick`) and children (elements or text). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** A picture from the one file of icons, in the colour of the text around it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows only a picture; its label is for readers and tooltips. */
export function iconButton(name, label, onclick, props = {}) {
  const attributes = { type: "button", class: "icon-button", "aria-label": label, title: label };
  return el("button", { ...attributes, onclick, ...props }, icon(name));
}

/** A labelled text field: `field("Name", {name: "name"})`. */
export function field(label, props, hint) {
  const input = el("input", { class: "input", autocomplete: "off", ...props });
  const words = el("span", { class: "field-label" }, label);
  return el("label", { class: "field" }, words, input, hint && el("span", { class: "field-hint" }, hint));
}

/** Lets a list be walked with the arrow keys, Home and End. */
export function walkable(list, selector) {
  list.addEventListener("keydown", (event) => {
    const items = [...list.querySelectorAll(selector)];
    const here = items.indexOf(document.activeElement);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined || here < 0) return;
    event.preventDefault();
    items[Math.max(0, Math.min(to, items.length - 1))].focus();
  });
}

/** Calls `action` once things have been quiet for a moment. */
export function debounce(action, pause = 250) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), pause);
  };
}
