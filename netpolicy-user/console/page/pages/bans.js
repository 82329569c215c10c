// @ts-check
// Bans and bypasses, with what is left of them.
import { about, call, get, own, readList } from "../api.js";
import { Addresses, Ending, endOf } from "../addresses.js";
import { count, number, span } from "../format.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Failure, Field, Head, Loading, More, Search, Table, Time, sentence, useParts, useTyped } from "../parts.js";
import { notify, refresh, status, useCell, useMay, useRead, useSeconds } from "../store.js";
import { html, useState } from "../ui.js";

/** Lines of one request that ends bans. */
const AT_ONCE = 10000;

export default function Bans() {
  const { data } = useCell(status);
  const filter = useTyped("");
  const [service, setService] = useState("");
  const [sort, setSort] = useState("since");
  const [dialog, setDialog] = useState(/** @type {string|null} */ (null));
  const [ending, setEnding] = useState(/** @type {any} */ (null));
  const mayBan = useMay("ban") && !about?.read_only;
  const mayExempt = useMay("bypass") && !about?.read_only;
  const scopes = useScopes();
  const sought = filter.settled.trim();
  const covers = /^[0-9a-f.:/]+$/i.test(sought) && /[.:]/.test(sought) ? sought : undefined;
  const by = covers ? undefined : sought || undefined;
  const total = data?.agent?.bans?.count ?? 0;
  const parts = useParts(["bans"], { limit: 100, covers, by, sort, service: service || undefined }, [covers, by, sort, service, total]);
  const close = () => setDialog(null);
  const unban = async (ban) => {
    await run(() => call("DELETE", ["bans"], { lines: [line(ban)] }), `${ban.source} is no longer banned${ban.also?.length ? `: the bans of ${origins(ban)} ended` : ""}.`);
    setEnding(null);
    parts.reload();
  };
  return html`<${Head} title="Bans" help="bans" sub="Sources that are denied for a time, whatever policies say. They are no revisions.">
      <${Search} label="Filter bans" placeholder="Covered address, or an origin" value=${filter.text} onInput=${filter.set} />
      <button type="button" disabled=${!mayExempt} onClick=${() => setDialog("bypass")}>Exempt a source</button>
      <button type="button" class="danger" disabled=${!mayBan} onClick=${() => setDialog("ban")}><${Icon} name="plus" /> Ban sources</button>
    <//>
    <div class="toolbar"><${Field} label="On">${(id) => html`<select id=${id} value=${service} onChange=${(event) => setService(event.currentTarget.value)}><option value="">every scope</option><option value="host">the whole host</option>${scopes.slice(1).map((scope) => html`<option value=${scope.value}>${scope.label}</option>`)}</select>`}<//>
      <${Field} label="First">${(id) => html`<select id=${id} value=${sort} onChange=${(event) => setSort(event.currentTarget.value)}><option value="since">the newest</option><option value="until">the next to end</option><option value="source">by address</option></select>`}<//>
      <span class="spring"></span>${parts.items && html`<span class="faint">${count(parts.total ?? 0, "ban")}</span>`}
      ${by && parts.total > 0 && html`<button type="button" class="small danger" disabled=${!mayBan} onClick=${() => setDialog("unban")}>Unban all of ${by}</button>`}</div>
    <${Failure} error=${parts.error} /><${Loading} of=${{ data: parts.items, error: parts.error }} />
    ${parts.items && html`<${Table} label="Bans" columns=${[{ name: "Source" }, { name: "Scope" }, { name: "Left" }, { name: "Since" }, { name: "By" }, { name: "Reason" }, { name: "" }]}
      empty=${html`<${Empty} title=${sought || service ? "No ban matches." : "No source is banned."} />`}
      rows=${parts.items.map((ban) => ({ key: `${ban.source} ${ban.scope}`, cells: [html`<a href=${`#/explain?source=${encodeURIComponent(one(ban.source))}`}><code>${ban.source}</code></a>`, ban.scope,
        ban.until ? html`<${Left} until=${ban.until} />` : "no end", html`<${Time} at=${ban.since} />`, html`<${By} ban=${ban} />`, ban.reason ?? "",
        html`<button type="button" class="small" disabled=${!mayBan} aria-label=${`Unban ${ban.source}`} onClick=${() => (ban.also?.length ? setEnding(ban) : unban(ban))}>Unban</button>`] }))} /><${More} parts=${parts} />`}
    <section class="card" aria-labelledby="bypasses"><h2 id="bypasses">Bypasses</h2><${Bypasses} /></section>
    ${dialog === "ban" && html`<${Ban} close=${close} done=${parts.reload} />`}
    ${dialog === "unban" && html`<${UnbanAll} by=${by} service=${service} total=${parts.total} close=${close} done=${parts.reload} />`}
    ${ending && html`<${UnbanOne} ban=${ending} close=${() => setEnding(null)} end=${() => unban(ending)} />`}
    ${dialog === "bypass" && html`<${Exempt} close=${close} />`}`;
}

/** What is asked about a source: the address, of a network the network. */
export const one = (source) => source.replace(/\/(32|128)$/, (length, bits) => (source.includes(":") === (bits === "128") ? "" : length));

/** The line that ends a ban. */
const line = (ban, by) => ({ source: ban.source, service: ban.scope === "host" ? null : ban.scope, by });

/** Whose bans a source has: "soc, fail2ban/sshd and crowdsec". */
function origins(ban) {
  const names = [ban, ...(ban.also ?? [])].map((one) => one.by ?? "no origin");
  const last = names.pop();
  return names.length ? `${names.join(", ")} and ${last}` : last;
}

/** The origin whose ban ends last, and those of the others with their ends. */
function By({ ban }) {
  if (!ban.also?.length) return ban.by ?? "";
  return html`<details><summary>${ban.by ?? ""} +${ban.also.length}</summary>${ban.also.map((other) => html`<span class="under">${other.by ?? "no origin"}: ${other.until ? html`<${Left} until=${other.until} />` : "no end"}${other.reason ? `, ${other.reason}` : ""}</span>`)}</details>`;
}

/** Ends the bans of a source that several origins ban. */
function UnbanOne({ ban, close, end }) {
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    await end();
  };
  return html`<${Dialog} title=${`Unban ${ban.source}`} onClose=${close} busy=${busy} foot=${html`<button type="button" onClick=${close} disabled=${busy}>Cancel</button><span class="spring"></span><button type="button" class="danger" disabled=${busy} onClick=${submit}>Unban</button>`}>
    <p>The bans of ${origins(ban)} end.</p><//>`;
}

/** The newest bans, with what is left of them. */
export function NewestBans() {
  const { data } = useCell(status);
  const total = data?.agent?.bans?.count ?? 0;
  const read = useRead((signal, unasked) => get(["bans"], { sort: "since", limit: 8 }, { signal, unasked }), [total], 15000);
  return html`<${Failure} error=${read.error} />${read.data && html`<${Table} label="Bans" columns=${[{ name: "Source" }, { name: "Scope" }, { name: "Left" }, { name: "By" }, { name: "Reason" }]} empty=${html`<p class="faint">No source is banned.</p>`}
    rows=${(read.data.items ?? []).map((ban) => ({ key: `${ban.source} ${ban.scope}`, cells: [html`<code>${ban.source}</code>`, ban.scope, ban.until ? html`<${Left} until=${ban.until} />` : "no end", ban.by ?? "", ban.reason ?? ""] }))} />`}`;
}

/** Ends all bans of an origin, or all on a scope. */
function UnbanAll({ by, service, total, close, done }) {
  const [busy, setBusy] = useState(false);
  const end = async () => {
    setBusy(true);
    let ended = 0;
    try {
      // Those that it ends are not there any more when the next are read.
      for (;;) {
        const page = await get(["bans"], { by, service: service || undefined, limit: AT_ONCE });
        if (!page.items?.length) break;
        const { data } = await call("DELETE", ["bans"], { lines: page.items.map((ban) => line(ban, by)) });
        const unbanned = data.filter((outcome) => outcome.result === "unbanned").length;
        ended += unbanned;
        if (!unbanned) break;
      }
      if (ended) notify(`${count(ended, "source")} no longer banned by ${by}.`, "good");
      else notify(`No ban of ${by} ended.`, "bad");
      close();
    } catch (error) {
      notify(sentence(error.message), "bad");
    }
    await refresh();
    done();
    setBusy(false);
  };
  const on = service ? ` on ${service === "host" ? "the whole host" : service}` : "";
  return html`<${Dialog} title=${`Unban all of ${by}${on}`} onClose=${close} busy=${busy} foot=${html`<button type="button" onClick=${close} disabled=${busy}>Cancel</button><span class="spring"></span><button type="button" class="danger" disabled=${busy} onClick=${end}>Unban ${number(total)}</button>`}>
    <p>${count(total, "ban")} of ${by}${on} end. Bans of other origins stay.</p><//>`;
}

export async function run(work, text) {
  try {
    const { data } = await work();
    const refused = Array.isArray(data) ? data.filter((line) => line.result === "refused") : [];
    for (const line of refused.slice(0, 3)) notify(`${line.source}: ${line.detail}`, "bad");
    if (!refused.length) notify(text, "good");
    await refresh();
    return !refused.length;
  } catch (error) {
    notify(`${sentence(error.message)}${error.problem?.hint ? `. ${sentence(error.problem.hint)}` : ""}`, "bad");
    return false;
  }
}

/** What is left of something. */
export function Left({ until }) {
  const now = useSeconds();
  const left = (new Date(until).getTime() - now) / 1000;
  return html`<time datetime=${until} title=${new Date(until).toLocaleString()}>${left > 0 ? span(left) : "ended"}</time>`;
}

export function Bypasses() {
  const { data } = useCell(status);
  const read = useRead((signal, unasked) => get(["bypasses"], {}, { signal, unasked }), [data?.agent?.bypasses], 10000);
  const may = useMay("bypass") && !about?.read_only;
  const revoke = async (bypass) => {
    const query = { source: bypass.source, service: bypass.scope === "host" ? undefined : bypass.scope, from: own.get() };
    await run(() => call("DELETE", ["bypasses"], { query }), `${bypass.source} is judged again.`);
    read.reload();
  };
  return html`<${Failure} error=${read.error} />
    ${read.data && html`<${Table} label="Bypasses" columns=${[{ name: "Source" }, { name: "Scope" }, { name: "Left" }, { name: "Granted by" }, { name: "" }]}
      empty=${html`<p class="faint">No source is exempt.</p>`}
      rows=${read.data.map((bypass) => ({ key: `${bypass.source} ${bypass.scope}`, cells: [html`<code>${bypass.source}</code>`, bypass.scope, html`<${Left} until=${bypass.expires} />`, bypass.granted_by,
        html`<button type="button" class="small" disabled=${!may} aria-label=${`Revoke the bypass of ${bypass.source}`} onClick=${() => revoke(bypass)}>Revoke</button>`] }))} />`}`;
}

function useScopes() {
  const services = useRead((signal) => get(["services"], {}, { signal }), []);
  return [{ value: "", label: "the whole host" }, ...(services.data ?? []).map((service) => ({ value: service.name, label: service.name }))];
}

/** Bans sources, any number of them, in any format that lists are read in. */
function Ban({ close, done }) {
  const scopes = useScopes();
  const [text, setText] = useState("");
  const [ends, setEnds] = useState("86400");
  const [service, setService] = useState("");
  const [reason, setReason] = useState("");
  const [by, setBy] = useState("");
  const [replace, setReplace] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {Error|null} */ (null));
  const [outcomes, setOutcomes] = useState(/** @type {any[]|null} */ (null));
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const sources = entriesOf((await readList(text)).list);
      const until = endOf(ends);
      const lines = sources.map(({ source, comment }) => ({ source, until, service: service || undefined, reason: reason.trim() || comment || undefined, by: by.trim() || undefined, replace }));
      const { data } = await call("POST", ["bans"], { query: { from: own.get() }, lines });
      const refused = data.filter((outcome) => outcome.result === "refused");
      setOutcomes(data);
      await refresh();
      done();
      if (!refused.length) {
        notify(`${summary(data)}.`, "good");
        close();
      }
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  const refused = (outcomes ?? []).filter((outcome) => outcome.result === "refused");
  return html`<${Dialog} title="Ban sources" onClose=${close} wide busy=${busy}><form class="form" onSubmit=${submit}>
    <${Failure} error=${error} />
    ${refused.length > 0 && html`<div class="panel bad" role="alert"><p><strong>${sentence(summary(outcomes))}.</strong></p><ul>${refused.slice(0, 10).map((outcome) => html`<li><code>${outcome.source}</code>: ${outcome.detail}</li>`)}${refused.length > 10 && html`<li>and ${number(refused.length - 10)} more</li>`}</ul></div>`}
    <${Addresses} plain label="Addresses or networks" value=${text} onInput=${setText} hint="One a line or separated by commas; what follows a # becomes the reason. Files can be dropped here, in any format that lists are read in." />
    <div class="grid even"><${Ending} label="The bans end" value=${ends} set=${setEnds} none="when they are ended" />
    <${Field} label="On">${(id) => html`<select id=${id} value=${service} onChange=${(event) => setService(event.currentTarget.value)}>${scopes.map((scope) => html`<option value=${scope.value}>${scope.label}</option>`)}</select>`}<//></div>
    <div class="grid even"><${Field} label="Reason">${(id) => html`<input id=${id} value=${reason} maxlength="256" onInput=${(event) => setReason(event.currentTarget.value)} />`}<//>
    <${Field} label="By" hint="Who or what bans them; empty: you">${(id, hint) => html`<input id=${id} aria-describedby=${hint} value=${by} maxlength="64" spellcheck="false" onInput=${(event) => setBy(event.currentTarget.value)} />`}<//></div>
    <label class="check"><input type="checkbox" checked=${replace} onChange=${(event) => setReplace(event.currentTarget.checked)} /><span>Let existing bans end then, even if that is earlier</span></label>
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="danger" disabled=${busy || !text.trim()}>Ban</button></p></form><//>`;
}

/** The entries of a list file, with their comments. @param {string} list */
function entriesOf(list) {
  return list.split("\n").flatMap((line) => {
    const [entries, ...comment] = line.split("#");
    return entries.split(/[\s,]+/).filter(Boolean).map((source) => ({ source, comment: comment.join("#").trim().slice(0, 256) }));
  });
}

const DID = { banned: "banned", extended: "banned for longer", unchanged: "banned already", refused: "refused" };

/** "3 banned, 1 refused". */
function summary(outcomes) {
  const words = Object.entries(DID).map(([result, did]) => [outcomes.filter((outcome) => outcome.result === result).length, did]);
  return words.filter(([n]) => n).map(([n, did]) => `${number(n)} ${did}`).join(", ") || "nothing to ban";
}

function Exempt({ close }) {
  const scopes = useScopes();
  const [source, setSource] = useState("");
  const [minutes, setMinutes] = useState("30");
  const [service, setService] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const body = { source: source.trim(), minutes: Number(minutes), service: service || null };
    if (await run(() => call("POST", ["bypasses"], { body }), `${body.source} is exempt.`)) close();
  };
  return html`<${Dialog} title="Exempt a source" onClose=${close}><form class="form" onSubmit=${submit}>
    <p>A bypass lets a source in for a time, whatever policies and bans say. It expires in the kernel, with or without an agent.</p>
    <${Field} label="Address or network">${(id) => html`<input id=${id} required value=${source} spellcheck="false" autocomplete="off" onInput=${(event) => setSource(event.currentTarget.value)} />`}<//>
    <div class="grid even"><${Field} label="Minutes">${(id) => html`<input id=${id} type="number" min="1" max="10080" required value=${minutes} onInput=${(event) => setMinutes(event.currentTarget.value)} />`}<//>
    <${Field} label="On">${(id) => html`<select id=${id} value=${service} onChange=${(event) => setService(event.currentTarget.value)}>${scopes.map((scope) => html`<option value=${scope.value}>${scope.label}</option>`)}</select>`}<//></div>
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary">Exempt</button></p></form><//>`;
}
