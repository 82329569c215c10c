// @ts-check
// One policy: its rules, its SQL, its history, and what can be done with it.
import { about, call, changing, get } from "../api.js";
import { propose } from "../change.js";
import { number } from "../format.js";
import { Icon } from "../icons.js";
import { Empty, Ends, Failure, Head, Loading, Search, Segments, Time, sentence, useTyped } from "../parts.js";
import { useRead, useRevision } from "../store.js";
import { html, useEffect, useState } from "../ui.js";
import { Virtual } from "../virtual.js";
import { Status, readHits } from "./policies.js";
import { Bindings, Edit, Settings } from "./policy_edit.js";
import { Changes, Evaluate, Sql } from "./policy_tabs.js";

const TABS = [{ value: "rules", label: "Rules" }, { value: "effect", label: "Effect" }, { value: "sql", label: "SQL" }, { value: "history", label: "History" }];

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
  const make = (title, change, done) => propose({ title, ...changing(change), revision: at, done });
  const may = !about?.read_only;
  return html`<${Head} title=${name} help="policies" back=${{ href: "#/policies", label: "Policies" }} sub=${policy?.comment}>
      ${policy && html`
        <button type="button" class="primary" disabled=${!may} onClick=${() => setDialog("edit")}><${Icon} name="plus" /> Add or remove addresses</button>
        <button type="button" disabled=${!may} onClick=${() => make(`${policy.active ? "Deactivate" : "Activate"} ${name}`, { change: "set-active", name, active: !policy.active })}>${policy.active ? "Deactivate" : "Activate"}</button>
        <button type="button" disabled=${!may} title=${policy.mode === "observe" ? "Denied attempts are dropped again" : "It governs nothing; what it would deny is counted"} onClick=${() => make(`${policy.mode === "observe" ? "Enforce" : "Only observe"} ${name}`, { change: "set-mode", policy: name, mode: policy.mode === "observe" ? "enforce" : "observe" })}>${policy.mode === "observe" ? "Enforce" : "Only observe"}</button>
        <button type="button" disabled=${!may} onClick=${() => setDialog("bind")}>Bindings</button>
        <button type="button" disabled=${!may} onClick=${() => setDialog("settings")}>Name, comment, owner</button>
        <button type="button" class="danger" disabled=${!may} onClick=${() => make(`Drop policy ${name}`, { change: "drop-policy", name }, () => { location.hash = "#/policies"; })}>Delete</button>`}
    <//>
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
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
      ${tab === "effect" && html`<${Evaluate} policy=${policy} revision=${at} />`}
      ${tab === "sql" && html`<${Sql} name=${name} revision=${at} />`}
      ${tab === "history" && html`<${Changes} name=${name} revision=${at} />`}
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
    ${found.length > 5 && html`<p>And ${found.length - 5} more: see <a href="#/checks/lint">all likely mistakes</a>.</p>`}</div>`;
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
  const head = html`<span class="cell pick" role="columnheader"><span class="hidden">Select</span></span><span class="cell address" role="columnheader">Rule</span><span class="cell words" role="columnheader">Comment</span><span class="cell place" role="columnheader">Place</span>${hits.data && html`<span class="cell num" role="columnheader">Hits</span>`}`;
  return html`<div class="toolbar">
      <${Segments} label="List" options=${options} value=${list} onChange=${setList} />
      <${Search} label="Filter rules" placeholder="Text, or an address that they cover" value=${filter.text} onInput=${filter.set} />
      <span class="spring"></span>
      ${chosen.size > 0 && html`<button type="button" class="danger" onClick=${remove}>Remove ${chosen.size} selected</button>`}
    </div>
    ${references.length > 0 && html`<p class="refs">And what is on ${references.map((name, at) => html`${at ? ", " : ""}<a href=${`#/lists/${encodeURIComponent(name)}`}>@${name}</a>`)}.</p>`}
    ${list === "allow" && (policy.allow_count === null || policy.allow_count === undefined) ? html`<${Empty} title="It restricts nothing by allowing."><p>What it does not block, it does not decide.</p></>`
      : html`<${Virtual} path=${["policies", policy.name, "rules"]} query=${{ list, ...(isAddress ? { covers: sought } : { text: sought || undefined }) }} filtered=${sought !== ""}
        total=${counts[list]} base=${base} revision=${revision} row=${row} head=${head} label=${`Rules of ${policy.name}`}
        empty=${html`<${Empty} title=${sought ? `No rule matches “${sought}”.` : list === "allow" ? "The list is empty: it allows no source." : "The list is empty."} />`} />`}`;
}

