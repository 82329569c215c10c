// @ts-check
// One policy: its rules, its SQL, its history, and what can be done with it.
import { about, call, changing, get } from "../api.js";
import { Addresses, listInput } from "../addresses.js";
import { propose } from "../change.js";
import { number } from "../format.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Ends, Failure, Field, Head, More, Search, Segments, Table, Time, sentence, useParts, useTyped } from "../parts.js";
import { notify, useMay, useRead, useRevision } from "../store.js";
import { html, useEffect, useState } from "../ui.js";
import { Virtual } from "../virtual.js";
import { Status, readHits } from "./policies.js";

const TABS = [{ value: "rules", label: "Rules" }, { value: "sql", label: "SQL" }, { value: "history", label: "History" }];

export default function Policy({ name, tab = "rules" }) {
  const revision = useRevision();
  const [dialog, setDialog] = useState(/** @type {string|null} */ (null));
  // The list, and not the policy's own resource, which has all of its rules.
  const read = useRead(async (signal) => {
    const { data, revision } = await call("GET", ["policies"], { signal });
    const policy = data.find((policy) => policy.name === name);
    return { policy, revision };
  }, [revision, name]);
  const policy = read.data?.policy;
  const at = read.data?.revision ?? null;
  const go = (value) => { location.hash = `#/policies/${encodeURIComponent(name)}${value === "rules" ? "" : `/${value}`}`; };
  const close = () => setDialog(null);
  const make = (title, change, done) => propose({ title, send: changing(change), revision: at, done });
  const may = !about?.read_only;
  return html`<${Head} title=${name} help="policies" back=${{ href: "#/policies", label: "Policies" }} sub=${policy?.comment}>
      ${policy && html`
        <button type="button" class="primary" disabled=${!may} onClick=${() => setDialog("edit")}><${Icon} name="plus" /> Add or remove addresses</button>
        <button type="button" disabled=${!may} onClick=${() => make(`${policy.active ? "Deactivate" : "Activate"} ${name}`, { change: "set-active", name, active: !policy.active })}>${policy.active ? "Deactivate" : "Activate"}</button>
        <button type="button" disabled=${!may} onClick=${() => setDialog("bind")}>Bindings</button>
        <button type="button" disabled=${!may} onClick=${() => setDialog("settings")}>Name, comment, owner</button>
        <button type="button" class="danger" disabled=${!may} onClick=${() => make(`Drop policy ${name}`, { change: "drop-policy", name }, () => { location.hash = "#/policies"; })}>Delete</button>`}
    <//>
    <${Failure} error=${read.error} retry=${read.reload} />
    ${read.data && !policy && html`<${Empty} title=${`There is no policy ${name}.`}><p>It was renamed or dropped: see the <a href="#/history">history</a>.</p></>`}
    ${policy && html`
      <dl class="facts">
        <div><dt>Status</dt><dd><${Status} policy=${policy} /></dd></div>
        <div><dt>Bound to</dt><dd>${policy.bindings.join(", ") || "nothing"}</dd></div>
        <div><dt>Owner</dt><dd>${policy.owner}</dd></div>
        <div><dt>Created</dt><dd><${Time} at=${policy.created} /></dd></div>
        <div><dt>Changed</dt><dd><${Time} at=${policy.altered} /></dd></div>
      </dl>
      <${Lint} name=${name} revision=${at} />
      <nav class="tabs" aria-label="Parts of the policy">${TABS.map((entry) => html`<a href=${`#/policies/${encodeURIComponent(name)}${entry.value === "rules" ? "" : `/${entry.value}`}`} aria-current=${entry.value === tab ? "page" : undefined}>${entry.label}</a>`)}</nav>
      ${tab === "rules" && html`<${Rules} policy=${policy} revision=${at} make=${make} may=${may} />`}
      ${tab === "sql" && html`<${Sql} name=${name} revision=${at} />`}
      ${tab === "history" && html`<${Changes} name=${name} />`}
      ${dialog === "edit" && html`<${Edit} policy=${policy} close=${close} make=${make} />`}
      ${dialog === "bind" && html`<${Bindings} policy=${policy} close=${close} make=${make} />`}
      ${dialog === "settings" && html`<${Settings} policy=${policy} close=${close} make=${make} go=${go} />`}`}`;
}

/** Likely mistakes, by the agent's lint. */
function Lint({ name, revision }) {
  const read = useRead((signal, unasked) => get(["lint"], {}, { signal, unasked }), [revision]);
  const found = (read.data ?? []).filter((finding) => finding.policies.includes(name) && finding.severity !== "note");
  if (!found.length) return null;
  return html`<div class="panel warn lint" role="note" aria-label="Likely mistakes">${found.slice(0, 5).map((finding) => html`<p><${Icon} name="warn" /> ${sentence(finding.message)}</p>`)}
    ${found.length > 5 && html`<p>And ${found.length - 5} more: see <code>netpolicy policy lint</code>.</p>`}</div>`;
}

function Rules({ policy, revision, make, may }) {
  const allow = policy.allow_count ?? 0;
  const except = policy.except_count ?? 0;
  const [list, setList] = useState(allow || !policy.block_count ? "allow" : "block");
  const filter = useTyped("");
  const [chosen, setChosen] = useState(/** @type {Map<string, string>} */ (new Map()));
  useEffect(() => setChosen(new Map()), [list, policy.name]);
  const hits = useRead((signal) => readHits({ policy: policy.name }, signal), [policy.name], 30000);
  const known = new Map();
  for (const row of hits.data?.hits ?? []) {
    if (row.rule && !row.named_list) known.set(`${row.list} ${row.rule}`, row);
  }
  // What was not read, or not counted apart, is not known to be none.
  const hitsOf = (cidr) => {
    const counted = known.get(`${list} ${cidr}`);
    return counted ? number(counted.hits) : hits.data?.next || hits.data?.incomplete ? "–" : "0";
  };
  const sought = filter.settled.trim();
  const isAddress = /^[0-9a-f.:]+$/i.test(sought) && (sought.split(".").length === 4 || sought.includes("::") || sought.split(":").length === 8);
  const counts = { allow, block: policy.block_count, except };
  const base = { allow: 0, block: allow, except: allow + policy.block_count }[list];
  const references = { allow: policy.allow_lists, block: policy.block_lists, except: policy.except_lists }[list] ?? [];
  const options = [{ value: "allow", label: "Allowed", count: policy.allow_count === null || policy.allow_count === undefined ? "any" : number(allow) },
    { value: "block", label: "Blocked", count: number(policy.block_count) }, ...(except || policy.except_lists?.length ? [{ value: "except", label: "Exceptions", count: number(except) }] : [])];
  const toggle = (rule) => {
    const next = new Map(chosen);
    if (!next.delete(rule.cidr)) next.set(rule.cidr, rule.text);
    setChosen(next);
  };
  const remove = () => make(`Remove ${chosen.size === 1 ? [...chosen.values()][0] : `${chosen.size} addresses`} from ${policy.name}`,
    { change: "alter-policy", name: policy.name, [list]: { edit: "edit", remove: { items: [...chosen.values()] } } }, () => setChosen(new Map()));
  const row = (item) => html`
    <span class="cell pick" role="cell"><input type="checkbox" aria-label=${`Select ${item.rule.text}`} disabled=${!may} checked=${chosen.has(item.rule.cidr)} onChange=${() => toggle(item.rule)} /></span>
    <span class="cell address" role="cell"><code>${item.rule.text}</code>${item.rule.cidr !== item.rule.text && !item.rule.cidr.startsWith(`${item.rule.text}/`) && html` <span class="faint">${item.rule.cidr}</span>`}</span>
    <span class="cell words" role="cell"><${Ends} rule=${item.rule} />${item.rule.name && html`<strong>${item.rule.name}</strong> `}${item.rule.comment}</span>
    <span class="cell place faint" role="cell">${item.rule.place}</span>
    ${hits.data && html`<span class="cell num" role="cell">${hitsOf(item.rule.cidr)}</span>`}`;
  return html`<div class="toolbar">
      <${Segments} label="List" options=${options} value=${list} onChange=${setList} />
      <${Search} label="Filter rules" placeholder="Text, or an address that they cover" value=${filter.text} onInput=${filter.set} />
      <span class="spring"></span>
      ${chosen.size > 0 && html`<button type="button" class="danger" onClick=${remove}>Remove ${chosen.size} selected</button>`}
    </div>
    ${references.length > 0 && html`<p class="refs">And what is on ${references.map((name, at) => html`${at ? ", " : ""}<a href=${`#/lists/${encodeURIComponent(name)}`}>@${name}</a>`)}.</p>`}
    ${list === "allow" && (policy.allow_count === null || policy.allow_count === undefined) ? html`<${Empty} title="It restricts nothing by allowing."><p>What it does not block, it does not decide.</p></>`
      : html`<${Virtual} path=${["policies", policy.name, "rules"]} query=${{ list, ...(isAddress ? { covers: sought } : { text: sought || undefined }) }} filtered=${sought !== ""}
        total=${counts[list]} base=${base} revision=${revision} row=${row} label=${`Rules of ${policy.name}`}
        empty=${html`<${Empty} title=${sought ? `No rule matches “${sought}”.` : list === "allow" ? "The list is empty: it allows no source." : "The list is empty."} />`} />`}`;
}

function Edit({ policy, close, make }) {
  const [list, setList] = useState("allow");
  const [add, setAdd] = useState("");
  const [remove, setRemove] = useState("");
  const submit = (event) => {
    event.preventDefault();
    make(`Edit ${policy.name}`, { change: "alter-policy", name: policy.name,
      [list]: { edit: "edit", add: listInput(add, "added"), remove: listInput(remove, "removed") } }, close);
  };
  const words = { allow: "allowed", block: "blocked", except: "exceptions" }[list];
  return html`<${Dialog} title=${`Add or remove addresses of ${policy.name}`} onClose=${close} wide>
    <form class="form" onSubmit=${submit}>
      <${Segments} label="List" value=${list} onChange=${setList} options=${[{ value: "allow", label: "Allowed" }, { value: "block", label: "Blocked" }, { value: "except", label: "Exceptions from blocked" }]} />
      ${list === "allow" && (policy.allow_count === null || policy.allow_count === undefined) && html`<p class="panel warn"><${Icon} name="warn" /> This policy allows any source now. With the first allowed address it allows only what is listed.</p>`}
      <${Addresses} label=${`Add to ${words}`} value=${add} onInput=${setAdd} offerOwn=${list === "allow"} hint="One a line or separated by commas; comments after #; @name for a named list. Files can be dropped here." />
      <${Addresses} label=${`Remove from ${words}`} value=${remove} onInput=${setRemove} rows=${3} hint="By what they mean: 10.0.0.1/24 removes 10.0.0.0/24." />
      <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${!add.trim() && !remove.trim()}>Review</button></p>
    </form><//>`;
}

function Bindings({ policy, close, make }) {
  const services = useRead((signal) => get(["services"], {}, { signal }), []);
  const scopes = ["host", ...(services.data ?? []).map((service) => service.name)];
  const bind = (scope) => {
    const bound = policy.bindings.includes(scope);
    const to = scope === "host" ? "the host" : scope;
    make(bound ? `Unbind ${policy.name} from ${to}` : `Bind ${policy.name} to ${to}`, { change: bound ? "unbind" : "bind", policy: policy.name, service: scope === "host" ? null : scope });
  };
  const govern = (scope) => make(`Only ${policy.name} for ${scope === "host" ? "the host" : scope}`, { change: "govern", policy: policy.name, service: scope === "host" ? null : scope });
  return html`<${Dialog} title=${`Bindings of ${policy.name}`} onClose=${close}>
    <p>A policy governs the scopes that it is bound to while it is active.</p>
    <${Failure} error=${services.error} />
    <ul class="bindings">${scopes.map((scope) => html`<li key=${scope}><span><strong>${scope === "host" ? "The host" : scope}</strong> ${policy.bindings.includes(scope) ? html`<span class="good-text">bound</span>` : html`<span class="faint">not bound</span>`}</span>
      <span class="row-buttons"><button type="button" onClick=${() => bind(scope)}>${policy.bindings.includes(scope) ? "Unbind" : "Bind"}</button>
      <button type="button" title="Activates and binds it, and removes the other bindings of the scope" onClick=${() => govern(scope)}>Make it the only one</button></span></li>`)}</ul><//>`;
}

function Settings({ policy, close, make, go }) {
  const [name, setName] = useState(policy.name);
  const [comment, setComment] = useState(policy.comment ?? "");
  const [owner, setOwner] = useState(policy.owner);
  const one = (event, title, change, done) => { event.preventDefault(); make(title, change, done); };
  const moved = () => { close(); location.hash = `#/policies/${encodeURIComponent(name.trim())}`; };
  return html`<${Dialog} title=${`Settings of ${policy.name}`} onClose=${close}>
    <form class="form inline" onSubmit=${(event) => one(event, `Rename ${policy.name}`, { change: "rename-policy", name: policy.name, to: name.trim() }, moved)}>
      <${Field} label="Name">${(id) => html`<input id=${id} value=${name} required spellcheck="false" onInput=${(event) => setName(event.currentTarget.value)} />`}<//>
      <button type="submit" disabled=${name.trim() === policy.name}>Rename</button></form>
    <form class="form inline" onSubmit=${(event) => one(event, `Comment on ${policy.name}`, { change: "alter-policy", name: policy.name, comment: comment.trim() }, close)}>
      <${Field} label="Comment">${(id) => html`<input id=${id} value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />`}<//>
      <button type="submit" disabled=${comment.trim() === (policy.comment ?? "")}>Change</button></form>
    <form class="form inline" onSubmit=${(event) => one(event, `Give ${policy.name} to ${owner}`, { change: "set-owner", policy: policy.name, owner: owner.trim() }, close)}>
      <${Field} label="Owner" hint="An OS user, or group: and a group">${(id, hint) => html`<input id=${id} aria-describedby=${hint} value=${owner} required spellcheck="false" onInput=${(event) => setOwner(event.currentTarget.value)} />`}<//>
      <button type="submit" disabled=${owner.trim() === policy.owner}>Give</button></form><//>`;
}

const DIALECTS = [{ value: "snowflake", label: "Snowflake" }, { value: "materialize", label: "Materialize" }, { value: "lakehouse", label: "Lakehouse" }];

/** The policy as a statement, written by the agent. */
function Sql({ name, revision }) {
  const [dialect, setDialect] = useState("snowflake");
  const read = useRead(async (signal) => {
    const text = `SHOW CREATE NETWORK POLICY "${name.replaceAll('"', '""')}"`;
    const quoted = dialect === "lakehouse" ? `SHOW CREATE NETWORK POLICY ${name}` : text;
    const { data } = await call("POST", ["sql"], { query: { dry_run: true }, body: { text: quoted, dialect, name: "console" }, signal });
    const rows = data.results.flatMap((result) => result.rows ?? []);
    return { text: rows.map((row) => row.at(-1)).join("\n"), warnings: data.results.flatMap((result) => result.warnings ?? []) };
  }, [name, dialect, revision]);
  const copy = async () => {
    await navigator.clipboard.writeText(read.data?.text ?? "");
    notify("Copied.", "good");
  };
  return html`<div class="toolbar"><${Segments} label="Dialect" options=${DIALECTS} value=${dialect} onChange=${setDialect} /><span class="spring"></span>
      <button type="button" disabled=${!read.data} onClick=${copy}>Copy</button></div>
    <${Failure} error=${read.error} />
    ${read.data && html`<pre class="code" tabindex="0">${read.data.text}</pre>${read.data.warnings.map((warning) => html`<p class="panel warn">${warning}</p>`)}`}`;
}

function Changes({ name }) {
  const revision = useRevision();
  const parts = useParts(["audit"], { text: name, limit: 50 }, [name, revision]);
  return html`<${Failure} error=${parts.error} />
    ${parts.items && html`<${Table} label="History" columns=${[{ name: "Revision", number: true }, { name: "What" }, { name: "Who" }, { name: "Outcome" }, { name: "When" }]}
      empty=${html`<${Empty} title="The audit log has nothing about it." />`}
      rows=${parts.items.map((entry) => ({ key: entry.id, cells: [entry.revision_after === entry.revision_before ? "" : html`<a href=${`#/history/${entry.revision_after}`}>${entry.revision_after}</a>`,
        html`${entry.action}${entry.changes.length > 0 && html`<details><summary>${entry.changes.length} lines</summary><pre class="code">${entry.changes.join("\n")}</pre></details>`}`, entry.actor, entry.outcome, html`<${Time} at=${entry.time} />`] }))} /><${More} parts=${parts} />`}`;
}
