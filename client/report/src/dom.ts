// Elements from code: text is always a text node, never markup.

type Child = Node | string | null | undefined;
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>;

// An element with attributes (functions are listeners, true is an empty attribute) and children.
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

export function append(parent: Element, children: Child[]): void {
  for (const child of children) if (child !== null && child !== undefined) parent.append(child);
}

export function option(value: string, text: string, selected = false): HTMLOptionElement {
  const element = h("option", { value }, text);
  element.selected = selected;
  return element;
}

// A labelled choice; calls `onChange` with the chosen value.
export function choice(label: string, options: { value: string; text: string }[], selected: string, onChange: (value: string) => void): HTMLLabelElement {
  const select = h("select", { onchange: () => onChange(select.value) }, ...options.map(({ value, text }) => option(value, text, value === selected)));
  return h("label", { class: "field" }, h("span", {}, label), select);
}

// Lets the reader save `text` as a file.
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

let announcer: HTMLElement | undefined;

// Tells users of a screen reader.
export function announce(text: string): void {
  if (!announcer) {
    announcer = h("div", { class: "visually-hidden", "aria-live": "polite", role: "status" });
    document.body.append(announcer);
  }
  announcer.textContent = text;
}
