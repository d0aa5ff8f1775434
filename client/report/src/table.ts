// A table that is sorted by buttons in its head, shown a page at a time, and saved as CSV or JSON.
import { toCsv, toJson } from "./csv.ts";
import type { Row } from "./document.ts";
import { announce, download, h } from "./dom.ts";
import { number } from "./format.ts";
import { sortRows } from "./order.ts";
import { oneLine } from "./text.ts";

export interface TableColumn {
  name: string; // of the row and of the saved file
  label?: string;
  format?: (row: Row) => string;
}
export interface TableOptions {
  name: string; // of the files
  caption: string;
  columns: TableColumn[];
  rows: Row[];
  // Names of all columns that are saved; absent: those shown.
  saved?: string[];
  // A button in each row: where its answers are.
  onPick?: (row: Row) => void;
}

const PAGE = 50;

function cellText(row: Row, column: TableColumn): string {
  if (column.format) return column.format(row);
  const value = row[column.name];
  return typeof value === "number" ? number(value) : value === null || value === undefined ? "–" : oneLine(String(value), 400);
}

function savers(options: TableOptions): HTMLElement {
  const columns = options.saved ?? options.columns.map((column) => column.name);
  const save = (kind: "csv" | "json") => {
    const text = kind === "csv" ? toCsv(columns, options.rows) : toJson(columns, options.rows);
    download(`${options.name}.${kind}`, kind === "csv" ? "text/csv" : "application/json", text);
  };
  return h("span", { class: "savers" },
    h("button", { type: "button", onclick: () => save("csv"), "aria-label": `Save ${options.name} as CSV` }, "CSV"),
    h("button", { type: "button", onclick: () => save("json"), "aria-label": `Save ${options.name} as JSON` }, "JSON"));
}

export function tableView(options: TableOptions): HTMLElement {
  let rows = options.rows;
  let sorted: { column: string; descending: boolean } | null = null;
  let page = 0;
  const body = h("tbody");
  const pager = h("nav", { class: "pager", "aria-label": `Pages of the table ${options.name}` });
  const heads = options.columns.map((column) => {
    const isNumeric = options.rows.some((row) => typeof row[column.name] === "number");
    const label = column.label ?? column.name.replaceAll("_", " ");
    const button = h("button", { type: "button", class: "sort", onclick: () => sortBy(column.name, label) }, label, h("span", { class: "arrow", "aria-hidden": "true" }));
    return h("th", { scope: "col", "aria-sort": "none", "data-column": column.name, class: isNumeric ? "numeric" : null }, button);
  });

  function sortBy(column: string, label: string): void {
    const descending = sorted?.column === column ? !sorted.descending : false;
    sorted = { column, descending };
    rows = sortRows(options.rows, column, descending);
    page = 0;
    for (const head of heads) {
      const isThis = head.dataset.column === column;
      head.setAttribute("aria-sort", isThis ? (descending ? "descending" : "ascending") : "none");
    }
    draw();
    announce(`${options.name} sorted by ${label}, ${descending ? "descending" : "ascending"}`);
  }

  function draw(): void {
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    body.replaceChildren(...rows.slice(page * PAGE, (page + 1) * PAGE).map(drawRow));
    pager.replaceChildren();
    if (pages === 1) return;
    const go = (to: number) => () => {
      page = to;
      draw();
      announce(`page ${page + 1} of ${pages}`);
    };
    pager.append(
      h("button", { type: "button", disabled: page === 0, onclick: go(page - 1) }, "Previous"),
      h("span", {}, `page ${page + 1} of ${pages}, ${rows.length.toLocaleString("en-US")} rows`),
      h("button", { type: "button", disabled: page === pages - 1, onclick: go(page + 1) }, "Next"));
  }

  function drawRow(row: Row): HTMLElement {
    const cells = options.columns.map((column, index) => {
      const isNumeric = heads[index]?.classList.contains("numeric");
      return h("td", { class: isNumeric ? "numeric" : null, dir: isNumeric ? null : "auto" }, cellText(row, column));
    });
    const pick = options.onPick;
    if (pick) cells.push(h("td", {}, h("button", { type: "button", class: "link", onclick: () => pick(row) }, "answers")));
    return h("tr", {}, ...cells);
  }

  draw();
  const head = h("tr", {}, ...heads, options.onPick ? h("th", { scope: "col" }, "answers") : null);
  const scroller = h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": options.caption },
    h("table", {}, h("caption", {}, options.caption), h("thead", {}, head), body));
  return h("div", { class: "table", "data-table": options.name }, savers(options), scroller, pager);
}

// The table behind a figure, folded.
export function foldedTable(options: TableOptions): HTMLDetailsElement {
  let isDrawn = false;
  const details = h("details", { class: "folded" }, h("summary", {}, `Table: ${options.caption} (${options.rows.length.toLocaleString("en-US")} rows)`));
  const fill = () => {
    if (!details.open || isDrawn) return;
    isDrawn = true;
    details.append(tableView(options));
  };
  details.addEventListener("toggle", fill);
  return details;
}
