/* Sorts a table by the column whose heading is clicked; cells without a value stay at the end. */
(() => {
  "use strict";
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        const value = (row) => row.cells[column].dataset.value;
        const compare = (a, b) => (column ? Number(a) - Number(b) : a.localeCompare(b));
        const rows = [...body.rows];
        const known = rows.filter((row) => value(row) !== undefined);
        known.sort((a, b) => sign * compare(value(a), value(b)));
        body.append(...known, ...rows.filter((row) => value(row) === undefined));
      });
    });
  }
})();
