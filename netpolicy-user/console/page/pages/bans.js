// @ts-check
// Bans and bypasses, with what is left of them.
import { about, call, get, own } from "../api.js";
import { count, span } from "../format.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Failure, Field, Head, More, Search, Table, Time, sentence, useParts, useTyped } from "../parts.js";
import { notify, refresh, status, useCell, useMay, useRead, useSeconds } from "../store.js";
import { html, useState } from "../ui.js";

export default function Bans() {
  const { data } = useCell(status);
  const filter = useTyped("");
  const [dialog, setDialog] = useState(/** @type {string|null} */ (null));
  const mayBan = useMay("ban") && !about?.read_only;
  const mayExempt = useMay("bypass") && !about?.read_only;
  const covers = /^[0-9a-f.:/]+$/i.test(filter.settled) && /[.:]/.test(filter.settled) ? filter.settled : undefined;
  const by = covers ? undefined : filter.settled || undefined;
  const total = data?.agent?.bans?.count ?? 0;
  const parts = useParts(["bans"], { limit: 100, covers, by, sort: "since" }, [covers, by, total]);
  const close = () => setDialog(null);
  const unban = async (ban) => {
    await run(() => call("DELETE", ["bans"], { lines: [{ source: ban.source, service: ban.scope === "host" ? null : ban.scope }] }), `${ban.source} is no longer banned.`);
    parts.reload();
  };
  return html`<${Head} title="Bans" help="bans" sub="Sources that are denied for a time, whatever policies say. They are no revisions.">
      <${Search} label="Filter bans" placeholder="An address that they cover, or an origin" value=${filter.text} onInput=${filter.set} />
      <button type="button" disabled=${!mayExempt} onClick=${() => setDialog("bypass")}>Exempt a source</button>
      <button type="button" class="danger" disabled=${!mayBan} onClick=${() => setDialog("ban")}><${Icon} name="plus" /> Ban sources</button>
    <//>
    <${Failure} error=${parts.error} />
    ${parts.items && html`<${Table} label="Bans" columns=${[{ name: "Source" }, { name: "Scope" }, { name: "Left" }, { name: "Since" }, { name: "By" }, { name: "Reason" }, { name: "" }]}
      empty=${html`<${Empty} title=${filter.settled ? "No ban matches." : "No source is banned."} />`}
      rows=${parts.items.map((ban) => ({ key: `${ban.source} ${ban.scope}`, cells: [html`<a href=${`#/explain?source=${encodeURIComponent(ban.source.split("/")[0])}`}><code>${ban.source}</code></a>`, ban.scope,
        ban.until ? html`<${Left} until=${ban.until} />` : "no end", html`<${Time} at=${ban.since} />`, ban.by ?? "", ban.reason ?? "",
        html`<button type="button" class="small" disabled=${!mayBan} aria-label=${`Unban ${ban.source}`} onClick=${() => unban(ban)}>Unban</button>`] }))} /><${More} parts=${parts} />`}
    <section class="card" aria-labelledby="bypasses"><h2 id="bypasses">Bypasses</h2><${Bypasses} /></section>
    ${dialog === "ban" && html`<${Ban} close=${close} done=${parts.reload} />`}
    ${dialog === "bypass" && html`<${Exempt} close=${close} />`}`;
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

function Ban({ close, done }) {
  const scopes = useScopes();
  const [text, setText] = useState("");
  const [minutes, setMinutes] = useState("1440");
  const [service, setService] = useState("");
  const [reason, setReason] = useState("");
  const sources = text.split(/[\s,]+/).filter(Boolean);
  const submit = async (event) => {
    event.preventDefault();
    const lines = sources.map((source) => ({ source, for: minutes ? Number(minutes) * 60 : undefined, service: service || undefined, reason: reason.trim() || undefined }));
    if (await run(() => call("POST", ["bans"], { query: { from: own.get() }, lines }), `${count(sources.length, "source")} banned.`)) close();
    done();
  };
  return html`<${Dialog} title="Ban sources" onClose=${close}><form class="form" onSubmit=${submit}>
    <${Field} label="Addresses or networks" hint="One a line, or separated by spaces or commas">${(id, hint) => html`<textarea id=${id} aria-describedby=${hint} class="addresses" rows="4" required value=${text} spellcheck="false" onInput=${(event) => setText(event.currentTarget.value)}></textarea>`}<//>
    <div class="grid even"><${Field} label="For">${(id) => html`<select id=${id} value=${minutes} onChange=${(event) => setMinutes(event.currentTarget.value)}><option value="60">an hour</option><option value="1440">a day</option><option value="10080">a week</option><option value="43200">30 days</option><option value="">until it is ended</option></select>`}<//>
    <${Field} label="On">${(id) => html`<select id=${id} value=${service} onChange=${(event) => setService(event.currentTarget.value)}>${scopes.map((scope) => html`<option value=${scope.value}>${scope.label}</option>`)}</select>`}<//></div>
    <${Field} label="Reason">${(id) => html`<input id=${id} value=${reason} maxlength="256" onInput=${(event) => setReason(event.currentTarget.value)} />`}<//>
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="danger" disabled=${!sources.length}>Ban ${sources.length > 1 ? count(sources.length, "source") : ""}</button></p></form><//>`;
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
