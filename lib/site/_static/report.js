// What the pages do beyond the theme: folds open for their address, tables fit, fold and sort, wide things take the keyboard.

// A row becomes a card where the columns do not fit, for which a cell carries its heading.
const tables = [...document.querySelectorAll("article table:is(.dataframe, .docutils)")];
const ROLES = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };
for (const table of tables) {
  const headings = table.tHead?.rows.length === 1 ? [...table.tHead.rows[0].cells].map(cell => cell.textContent.trim()) : [];
  for (const row of table.tBodies[0]?.rows ?? []) {
    [...row.cells].forEach((cell, i) => { if (headings[i]) cell.dataset.label ??= headings[i]; });
  }
  // a browser forgets what an element of a table is when it is laid out as a block
  for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, td")]) part.role = ROLES[part.tagName];
  for (const heading of table.querySelectorAll("th")) heading.role = heading.closest("thead") ? "columnheader" : "rowheader";
  fold(table);
}

// Of a long table the first ten rows are shown, unless it is in a fold already.
function fold(table) {
  const count = table.tBodies[0]?.rows.length ?? 0;
  if (count <= 12 || table.closest("details")) return;
  const button = document.createElement("button");
  button.className = "rest";
  button.textContent = `Show all ${count} rows`;
  button.addEventListener("click", () => { table.classList.remove("first"); button.remove(); });
  table.classList.add("first");
  table.after(button);
}

const boxes = document.querySelectorAll("pre, .math-wrapper, .table-wrapper, .output.text_html");
const watcher = new ResizeObserver(entries => {
  for (const { target } of entries) {
    const table = target.querySelector("table:is(.dataframe, .docutils)");
    if (table && target.clientWidth && table.getBoundingClientRect().width > target.clientWidth + 1) table.classList.add("stacked");
    if (target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight + 1) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
boxes.forEach(box => watcher.observe(box));

// Whose figures: ?machine= wins, then what was chosen last, then the first. A page keeps all, and shows one machine's.
const select = document.querySelector(".machine select");
if (select) {
  const machines = [...select.options].map(option => option.value);
  const show = chosen => {
    select.value = document.documentElement.dataset.machine = chosen;
    for (const part of document.querySelectorAll("[data-m]")) part.hidden = !part.dataset.m.split(" ").includes(chosen);
  };
  const keep = chosen => { try { localStorage.setItem("machine", chosen); } catch { /* no storage: this page only */ } };
  const kept = () => { try { return localStorage.getItem("machine"); } catch { return null; } };
  const asked = new URLSearchParams(location.search).get("machine");
  if (machines.includes(asked)) keep(asked);
  show([asked, kept()].find(each => machines.includes(each)) ?? machines[0]);
  select.disabled = false;
  select.addEventListener("change", () => {
    show(select.value);
    keep(select.value);
    const address = new URL(location);
    address.searchParams.set("machine", select.value);
    history.replaceState(null, "", address);
  });
}

// The address of a fold, or of anything in one, opens it.
function reveal() {
  const name = location.hash.length > 1 && CSS.escape(decodeURIComponent(location.hash.slice(1)));
  if (!name) return;
  const shown = each => !each.closest("[hidden]");  // of a claim, the chosen machine's
  const at = [...document.querySelectorAll(`[id="${name}"], [data-id="${name}"]`)].find(shown);
  if (!at) return;
  for (let fold = at.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  at.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
addEventListener("beforeprint", () => document.querySelectorAll("article details").forEach(fold => { fold.open = true; }));

// A claim has an address as a heading has.
for (const claim of document.querySelectorAll(".claim")) {
  const link = document.createElement("a");
  link.className = "headerlink";
  link.href = `#${claim.id || claim.dataset.id}`;
  link.title = "Link to this claim";
  link.textContent = "¶";
  claim.querySelector("h4")?.append(link);
}

// The sign beside a heading, a figure or a fold copies its address as well.
document.addEventListener("click", event => {
  const link = event.target.closest?.("a.headerlink");
  if (!link) return;
  const address = new URL(link.href);
  if (select) address.searchParams.set("machine", select.value);
  navigator.clipboard?.writeText(address.href).then(() => {
    const title = link.title;
    link.title = "Copied";
    link.classList.add("copied");
    setTimeout(() => { link.title = title; link.classList.remove("copied"); }, 1500);
  }, () => {});
});

// Sphinx gives captions of the navigation no level as headings, and lays a long signature out as a list without terms.
for (const caption of document.querySelectorAll(".caption[role=heading]")) caption.ariaLevel = 2;
for (const list of document.querySelectorAll(".sig dl")) list.role = "presentation";

const UNITS = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, min: 60, h: 3600, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12,
  KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, k: 1e3, M: 1e6, G: 1e9, T: 1e12, GFLOP: 1e9, TFLOP: 1e12 };

// "1,234 ms" -> 1.234 and "2 GB/s" -> 2e9; what is no number with at most a unit -> NaN
function quantity(cell) {
  if (cell.dataset.value) return Number(cell.dataset.value);
  const [, digits, unit] = cell.textContent.trim().match(/^([-+\d.,]+(?:e[-+]?\d+)?)\s*(\S*)$/i) ?? [];
  return digits ? Number(digits.replaceAll(",", "")) * (UNITS[unit.split("/")[0]] ?? 1) : NaN;
}

function sort(table, column, direction) {
  const rows = [...table.tBodies[0].rows].map(row => {
    const cell = row.cells[column];
    return { row, text: cell.textContent.trim(), number: quantity(cell) };
  });
  const given = rows.filter(({ text }) => !["–", "", "nan"].includes(text));
  const numeric = given.every(({ number }) => !Number.isNaN(number));
  const byText = (a, b) => a.text.localeCompare(b.text, "en", { numeric: true });
  const order = numeric ? (a, b) => a.number - b.number : byText;
  given.sort((a, b) => direction * order(a, b));
  const missing = rows.filter(row => !given.includes(row));
  table.tBodies[0].append(...[...given, ...missing].map(({ row }) => row));
}

for (const table of document.querySelectorAll("table.dataframe")) {
  if (table.tHead?.rows.length !== 1) continue;
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    if (!heading.textContent.trim()) return;
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.ariaSort === "ascending";
      headings.forEach(other => { other.ariaSort = null; });
      heading.ariaSort = descending ? "descending" : "ascending";
      sort(table, column, descending ? -1 : 1);
    });
  });
}
