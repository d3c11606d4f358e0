
// Filters and sorts the listing in the browser, as the server would do, and adds keyboard shortcuts. The page works without this script.
(() => {
  const find = (selector) => document.querySelector(selector);
  const form = find("#controls"), input = form.elements.filter, count = find("#count");
  // Rows are in groups, so that a browser can skip the layout of groups that are out of sight.
  const groups = [...document.querySelectorAll("tbody")];
  const rows = [...document.querySelectorAll("tbody tr")], size = Math.ceil(rows.length / groups.length);
  const total = count.textContent;
  const names = rows.map((row) => row.cells[0].textContent.toLowerCase());
  form.querySelector("button").hidden = true;

  // Filter while typing: at most one pass over the rows per frame.
  let frame = 0, reload = 0;
  const PAUSE = 400;
  const filter = () => {
    const text = input.value.toLowerCase();
    clearTimeout(reload);
    // The server has left out the names that its own filter does not match. So all names are requested after a pause in typing, and the
    // typed text is kept.
    if (!text.includes(input.defaultValue)) reload = setTimeout(showAll, PAUSE);
    let shown = 0;
    for (let i = 0; i < rows.length; i++) {
      const matches = names[i].includes(text);
      shown += matches;
      if (rows[i].hidden === matches) rows[i].hidden = !matches;
    }
    count.textContent = text === input.defaultValue ? total : `${shown} of ${rows.length} shown`;
  };
  const showAll = () => {
    const query = new URLSearchParams(location.search);
    query.delete("filter");
    location.assign(`${location.pathname}?${query}#${new URLSearchParams({ filter: input.value })}`);
  };
  const typed = new URLSearchParams(location.hash.slice(1)).get("filter");
  if (typed !== null) {
    history.replaceState(null, "", location.pathname + location.search.replace(/^\?$/, ""));
    input.value = typed;
    input.focus();
  }
  // Also applies the text that the browser restores when one comes back to the page.
  addEventListener("pageshow", filter);
  input.addEventListener("input", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(filter);
  });

  // Sort: folders stay first; names in natural order, like the server's.
  const natural = new Intl.Collator(undefined, { numeric: true }).compare;
  const number = (row, column) => Number(row.cells[column].dataset.n ?? 0);
  const heads = [...document.querySelectorAll("th button")];
  const sort = (column, reversed) => {
    const keyed = rows.map((row, i) => ({
      row,
      name: names[i],
      folder: names[i].endsWith("/"),
      key: column ? number(row, column) : names[i],
    }));
    const compare = column ? (a, b) => a.key - b.key : (a, b) => natural(a.key, b.key);
    const turn = reversed ? -1 : 1;
    keyed.sort((a, b) => b.folder - a.folder || turn * compare(a, b));
    keyed.forEach(({ row, name }, i) => {
      rows[i] = row;
      names[i] = name;
    });
    groups.forEach((group, i) => group.replaceChildren(...rows.slice(i * size, (i + 1) * size)));
  };
  heads.forEach((head, column) => head.addEventListener("click", (event) => {
    event.preventDefault();
    const cell = head.closest("th"), reversed = cell.ariaSort === "ascending";
    for (const other of heads) other.closest("th").ariaSort = null;
    cell.ariaSort = reversed ? "descending" : "ascending";
    sort(column, reversed);
  }));
  form.addEventListener("submit", (event) => event.preventDefault());

  // Keyboard shortcuts.
  const go = (from, step) => {
    for (let i = from; i in rows; i += step) {
      if (!rows[i].hidden) return rows[i].cells[0].firstElementChild.focus();
    }
  };
  const move = (step) => {
    const here = rows.indexOf(document.activeElement.closest("tbody tr"));
    go(here < 0 && step < 0 ? rows.length - 1 : here + step, step);
  };
  const up = () => find("nav b").previousElementSibling?.click();
  const keys = {
    ArrowDown: () => move(1), j: () => move(1), ArrowUp: () => move(-1), k: () => move(-1),
    Home: () => go(0, 1), End: () => go(rows.length - 1, -1),
    ArrowLeft: up, h: up, Backspace: up, "/": () => input.focus(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    // A control needs the keys itself. And nobody should leave the page by a key while an upload is running.
    const isTaken = event.target.closest("button, select, input") || document.querySelector("#upload[aria-busy=true]");
    if (event.target === input) {
      if (event.key === "Escape") {
        input.value = "";
        filter();
        input.blur();
      } else if (event.key === "ArrowDown" || event.key === "Enter") {
        event.preventDefault();
        go(0, 1);
      }
    } else if (!isTaken && Object.hasOwn(keys, event.key)) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  const hint = document.createElement("p");
  hint.id = "keys";
  for (const [key, what] of [["/", "filter"], ["\u2193", "next"], ["\u2191", "previous"], ["Enter", "open"], ["\u2190", "folder above"]]) {
    const name = document.createElement("kbd");
    name.textContent = key;
    hint.append(name, ` ${what}  `);
  }
  find("main").append(hint);
})();
