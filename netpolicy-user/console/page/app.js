// @ts-check
// The frame: navigation, the banner of an unconfirmed change, notices, and the page of the address.
import { ApiError, about, begin, call, get, own } from "./api.js";
import { ChangeDialog, proposeRollback } from "./change.js";
import { span } from "./format.js";
import { Icon } from "./icons.js";
import { Dialog, Failure, Field, sentence } from "./parts.js";
import { caller, dismiss, notices, notify, readCaller, refresh, status, useCell, useRead, useSeconds, watch } from "./store.js";
import { html, render, useEffect, useState } from "./ui.js";

const PAGES = [
  { path: "", label: "Overview", icon: "overview", load: () => import("./pages/overview.js") },
  { path: "policies", label: "Policies", icon: "policies", load: () => import("./pages/policies.js") },
  { path: "explain", label: "Explain", icon: "explain", load: () => import("./pages/explain.js") },
  { path: "live", label: "Live", icon: "live", load: () => import("./pages/live.js") },
  { path: "sources", label: "Sources", icon: "sources", load: () => import("./pages/sources.js") },
  { path: "services", label: "Services", icon: "services", load: () => import("./pages/services.js") },
  { path: "lists", label: "Lists and feeds", icon: "lists", load: () => import("./pages/lists.js") },
  { path: "bans", label: "Bans", icon: "bans", load: () => import("./pages/bans.js") },
  { path: "checks", label: "Checks", icon: "checks", load: () => import("./pages/checks.js") },
  { path: "fleet", label: "Fleet", icon: "fleet", load: () => import("./pages/fleet.js"), isFor: (/** @type {any} */ agent) => agent?.fleet },
  { path: "history", label: "History", icon: "history", load: () => import("./pages/history.js") },
  { path: "audit", label: "Audit log", icon: "audit", load: () => import("./pages/audit.js") },
  { path: "grants", label: "Grants", icon: "grants", load: () => import("./pages/grants.js") },
  { path: "sql", label: "SQL", icon: "sql", load: () => import("./pages/sql.js") },
];

/** The address: a path, and a query. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").map(decodeURIComponent), query: new URLSearchParams(query ?? "") };
}

function useAddress() {
  const [at, set] = useState(address);
  useEffect(() => {
    const moved = () => set(address());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return at;
}

function App() {
  const at = useAddress();
  const [open, setOpen] = useState(false);
  const page = PAGES.find((page) => page.path === at.parts[0]) ?? PAGES[0];
  const [shown, setShown] = useState(/** @type {any} */ (null));
  const [failure, setFailure] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let gone = false;
    setOpen(false);
    page.load().then((module) => { if (!gone) { setShown({ path: page.path, Page: module.default }); setFailure(null); } },
      () => { if (!gone) setFailure(new ApiError({ status: 0, code: "unreachable", errors: ["the console does not answer"], hint: "is `netpolicy console` still running?" })); });
    return () => { gone = true; };
  }, [page.path]);
  useEffect(() => { document.getElementById("title")?.focus({ preventScroll: true }); scrollTo(0, 0); }, [at.parts.join("/"), shown?.path]);
  const Page = shown?.path === page.path ? shown.Page : null;
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the content</a>
    <div class="frame">
      <${Top} open=${open} toggle=${() => setOpen(!open)} />
      <${Side} page=${page} open=${open} />
      <main id="main" tabindex="-1">
        <${Banner} />
        ${failure && html`<${Failure} error=${failure} retry=${() => location.reload()} />`}
        ${Page ? html`<${Page} parts=${at.parts.slice(1)} query=${at.query} />` : !failure && html`<p class="faint boot" role="status">Loading…</p>`}
      </main>
    </div>
    <${ChangeDialog} />
    <${Notices} />`;
}

function Top({ open, toggle }) {
  return html`<header class="top">
    <button type="button" class="plain menu" aria-expanded=${open} aria-controls="side" aria-label="Menu" onClick=${toggle}><${Icon} name=${open ? "close" : "menu"} /></button>
    <a class="brand" href="#/"><img src="/icon.svg" alt="" width="22" height="22" /> netpolicy</a>
    <span class="where" title="The host that this console shows">${about?.host}</span>
    <span class="spring"></span>
    ${about?.read_only && html`<span class="pill warn">read-only</span>`}
    <${MyAddress} />
    <${Theme} />
  </header>`;
}

function Side({ page, open }) {
  const { data } = useCell(status);
  const faults = data?.faults?.length ?? 0;
  return html`<nav id="side" class=${`side ${open ? "open" : ""}`} aria-label="Pages">
    <ul>${PAGES.filter((entry) => entry === page || !entry.isFor || entry.isFor(data?.agent)).map((entry) => html`<li key=${entry.path}><a href=${`#/${entry.path}`} aria-current=${entry === page ? "page" : undefined}>
      <${Icon} name=${entry.icon} /> <span>${entry.label}</span>
      ${entry.path === "" && faults > 0 && html`<span class="badge" aria-label=${`${faults} faults`}>${faults}</span>`}</a></li>`)}</ul>
    <ul class="side-foot">
      <li><a href="/guide/console" target="_blank" rel="noopener"><${Icon} name="help" /> <span>Guide</span></a></li>
      <li class="who">${about?.person ? html`${about.person}, as ` : "as "}<strong>${about?.user}</strong> · ${about?.version}</li>
    </ul>
  </nav>`;
}

/** The address that changes are checked against. */
function MyAddress() {
  const known = useCell(caller);
  const [open, setOpen] = useState(false);
  const [text, setText] = useState(own.get());
  const ssh = known?.operator?.address;
  const shown = [ssh, own.get()].filter((address, at, all) => address && all.indexOf(address) === at).join(", ");
  const save = (event) => {
    event.preventDefault();
    own.set(text.trim());
    setOpen(false);
    notify(text.trim() ? `Changes are also checked against ${text.trim()}.` : "Changes are checked against your SSH address alone.");
  };
  return html`<button type="button" class="plain mine" onClick=${() => setOpen(true)} title="The addresses that no change may lock out">
      <span class="mine-label">My address</span> <code>${shown || "none"}</code></button>
    ${open && html`<${Dialog} title="My address" onClose=${() => setOpen(false)}>
      <form onSubmit=${save}>
        <p>A change that would deny your own address is refused.</p>
        <p>${ssh ? html`You reached this host from <code>${ssh}</code> (${known.operator.known_by}). It is checked in any case.` : "The console was not started over SSH, so no address of yours is known."}</p>
        <${Field} label="One more address of yours" hint="As the database host sees it; empty for none. It is kept for this tab.">${(id, hint) => html`<input id=${id} aria-describedby=${hint} value=${text} placeholder="203.0.113.10" spellcheck="false" autocomplete="off" onInput=${(event) => setText(event.currentTarget.value)} />`}<//>
        <p class="form-foot"><button type="submit" class="primary">Save</button></p>
      </form>
    <//>`}`;
}

function Theme() {
  const [theme, set] = useState(document.documentElement.dataset.theme ?? "system");
  const choose = (event) => {
    const chosen = event.currentTarget.value;
    set(chosen);
    if (chosen === "system") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem("netpolicy-theme");
    } else {
      document.documentElement.dataset.theme = chosen;
      localStorage.setItem("netpolicy-theme", chosen);
    }
  };
  return html`<label class="theme"><span class="hidden">Theme</span><select onChange=${choose} value=${theme}>
    <option value="system">System</option><option value="light">Light</option><option value="dark">Dark</option></select></label>`;
}

/** An unconfirmed change, and an agent that does not answer. */
function Banner() {
  const { data, error } = useCell(status);
  const pending = data?.agent?.pending;
  return html`
    ${error && html`<div class="banner bad" role="alert"><${Icon} name="warn" /><div><strong>${sentence(error.message)}.</strong> ${error.problem?.hint && sentence(error.problem.hint)}</div></div>`}
    ${pending && html`<${Pending} key=${pending.revision} pending=${pending} />`}`;
}

function Pending({ pending }) {
  const now = useSeconds();
  const known = useCell(caller);
  const [busy, setBusy] = useState(false);
  const left = Math.max(0, (new Date(pending.deadline).getTime() - now) / 1000);
  const mine = [...new Set([known?.operator?.address, own.get()].filter(Boolean))];
  const verdicts = useRead((signal) => Promise.all(mine.map((source) => get(["explain"], { source }, { signal, unasked: true })
    .then((view) => view.kernel?.verdict, () => null))), [mine.join(), pending.revision]);
  useEffect(() => { if (left === 0) void refresh(true); }, [left === 0]);
  // What is looked at, and nothing that came after it.
  const end = async (path, text, options) => {
    setBusy(true);
    try {
      await call("POST", path, { ...options, revision: pending.revision });
      notify(text, "good");
    } catch (error) {
      // What it opens, or would cut off, is seen and consented to in the dialog.
      const asks = options && error instanceof ApiError && ["lockout", "consent-required"].includes(error.code);
      if (asks) proposeRollback(pending.base, { from: pending.revision });
      else notify(sentence(error.message), "bad");
    }
    await refresh();
    setBusy(false);
  };
  const verdict = (at) => verdicts.data?.[at];
  return html`<div class="banner warn" role="alert" id="pending">
    <${Icon} name="clock" />
    <div class="spring">
      <strong>Revision ${pending.revision} is not confirmed.</strong> It is rolled back to revision ${pending.base}
      ${" "}${left > 0 ? html`in <strong class="countdown">${span(left)}</strong>` : "now"} (made by ${pending.actor}).
      <p>${mine.map((address, at) => html`The loaded program says of your address <code>${address}</code>: <strong class=${verdict(at) === "drop" ? "bad-text" : ""}>${verdict(at) ?? "not known"}</strong>. `)}Through a tunnel this page cannot test
        whether a new connection gets in: try one from where you work, then confirm.</p>
    </div>
    ${!about?.read_only && html`<div class="banner-buttons">
      <button type="button" disabled=${busy} onClick=${() => end(["rollback", String(pending.base)], `Rolled back to revision ${pending.base}.`, { query: { from: own.get() || undefined } })}>Roll back now</button>
      <button type="button" class="primary" disabled=${busy} onClick=${() => end(["confirm"], `Revision ${pending.revision} stays in force.`)}>Confirm</button></div>`}
  </div>`;
}

function Notices() {
  const list = useCell(notices);
  return html`<div class="notices" role="status" aria-live="polite">${list.map((notice) => html`<div key=${notice.id} class=${`notice ${notice.kind}`}>
    <span>${notice.text}</span><button type="button" class="plain" aria-label="Dismiss" onClick=${() => dismiss(notice.id)}><${Icon} name="close" /></button></div>`)}</div>`;
}

/** Without a session: why, and what to do. */
function Shut({ error }) {
  return html`<main class="shut" id="main"><img src="/icon.svg" alt="" width="44" height="44" /><h1>netpolicy console</h1><${Failure} error=${error} retry=${() => location.reload()} /></main>`;
}

// Another URL of the console in the same tab: it has a token.
addEventListener("hashchange", () => {
  if (new URLSearchParams(location.hash.slice(1)).has("token")) location.reload();
});

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
try {
  await begin();
  await Promise.all([refresh(), readCaller().catch(() => {})]);
  root.replaceChildren();
  render(html`<${App} />`, root);
  watch();
  performance.mark("ready");
} catch (error) {
  root.replaceChildren();
  render(html`<${Shut} error=${error} />`, root);
}
