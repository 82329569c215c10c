// @ts-check
// Policies: the table, and the dialog to create one.
import { about, call, changing, get, maybe } from "../api.js";
import { Addresses, Ending, endOf, listInput } from "../addresses.js";
import { propose } from "../change.js";
import { number } from "../format.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Failure, Field, Head, Loading, Pill, Search, Segments, Table, Time, useTyped } from "../parts.js";
import { notify, useMay, useRead, useRevision } from "../store.js";
import { html, useState } from "../ui.js";
import { PolicyFile } from "./file.js";
import Policy from "./policy.js";

export default function Policies({ parts, query }) {
  return parts[0] ? html`<${Policy} key=${parts[0]} name=${parts[0]} tab=${parts[1]} />` : html`<${All} query=${query} />`;
}

const link = (name) => `#/policies/${encodeURIComponent(name)}`;

function All({ query }) {
  const revision = useRevision();
  const [creating, setCreating] = useState(query.get("new") === "1");
  const [file, setFile] = useState(false);
  const search = useTyped("");
  const mayCreate = useMay("create");
  const read = useRead(async (signal) => {
    const [{ data: policies, revision }, hits] = await Promise.all([call("GET", ["policies"], { signal }), readHits({}, signal)]);
    return { policies, revision, hits };
  }, [revision]);
  const policies = read.data?.policies ?? [];
  const sought = search.settled.trim().toLowerCase();
  const isAddress = /^[0-9a-f.:]+(\/\d+)?$/i.test(sought) && /[.:]/.test(sought);
  const shown = isAddress ? policies : policies.filter((policy) => `${policy.name} ${policy.comment ?? ""} ${policy.owner}`.toLowerCase().includes(sought));
  const hits = hitsOf(read.data?.hits);
  return html`<${Head} title="Policies" help="policies" sub="Named lists of allowed and blocked addresses. Blocks win; once an active policy allows only some, all others are denied.">
      <${Search} label="Search policies, or which holds an address" placeholder="Name or comment, or an address" value=${search.text} onInput=${search.set} />
      <button type="button" onClick=${() => setFile(true)}>Policy file</button>
      <button type="button" class="primary" disabled=${!mayCreate || about?.read_only} onClick=${() => setCreating(true)}><${Icon} name="plus" /> Create policy</button>
    <//>
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
    ${isAddress && html`<${Holding} address=${sought} policies=${policies} />`}
    ${read.data && html`<${Table} label="Policies" columns=${[{ name: "Name" }, { name: "Status" }, { name: "Bound to" }, { name: "Allowed", number: true }, { name: "Blocked", number: true }, ...(hits ? [{ name: "Hits", number: true }] : []), { name: "Owner" }, { name: "Created" }, { name: "Changed" }]}
      empty=${policies.length ? html`<${Empty} title=${`No policy matches “${search.settled}”.`} />` : html`<${Empty} title="There is no policy: every source may connect.">
        <p>A policy allows some addresses, or blocks some. It governs the host, or services such as PostgreSQL's port.</p></>`}
      rows=${shown.map((policy) => ({ key: policy.name, cells: [
        html`<a class="strong" href=${link(policy.name)}>${policy.name}</a>${policy.comment && html`<span class="under">${policy.comment}</span>`}`,
        html`<${Status} policy=${policy} />`,
        policy.bindings.join(", ") || html`<span class="faint">nothing</span>`,
        html`<${Count} own=${policy.allow_count} lists=${policy.allow_lists} any="any" />`,
        html`<${Count} own=${policy.block_count} lists=${policy.block_lists} />`,
        ...(hits ? [hits.of(policy.name)] : []),
        policy.owner, html`<${Time} at=${policy.created} />`, html`<${Time} at=${policy.altered} />`] }))} />`}
    ${creating && html`<${Create} revision=${read.data?.revision} close=${() => setCreating(false)} />`}
    ${file && html`<${PolicyFile} close=${() => setFile(false)} />`}`;
}

/** The most pages of hits that are read. */
const HITS_PAGES = 5;

/** Hits, page by page; `next` is set if there are still more. `null`: this agent counts none. */
export async function readHits(query, signal) {
  try {
    const all = await maybe(["hits"], { ...query, limit: 10000 }, { signal, unasked: true });
    for (let page = 1; all?.next && page < HITS_PAGES; page++) {
      const more = await get(["hits"], { ...query, limit: 10000, after: all.next }, { signal, unasked: true });
      all.hits.push(...more.hits);
      all.next = more.next;
    }
    return all;
  } catch {
    return null;
  }
}

function hitsOf(hits) {
  if (!hits) return null;
  const sums = new Map();
  for (const row of hits.hits) if (!row.rule && !row.list) sums.set(row.policy, row.hits);
  // What was not read is not known to be none.
  return { of: (name) => sums.has(name) ? number(sums.get(name)) : hits.next ? "–" : "0" };
}

export function Status({ policy }) {
  if (!policy.active) return html`<${Pill}>inactive</>`;
  if (policy.mode === "observe") return html`<${Pill} kind="warn">observed: counted, not enforced</>`;
  return policy.bindings.length ? html`<${Pill} kind="good">active</>` : html`<${Pill} kind="warn">active, bound to nothing</>`;
}

export function Count({ own, lists = [], any }) {
  const references = lists.map((list) => html` <span class="ref">@${list}</span>`);
  if (own === null || own === undefined) return html`<span class="faint">${any ?? "–"}</span>${references}`;
  return html`${number(own)}${references}`;
}

/** Which policies hold an address, by the agent's own look-up. */
function Holding({ address, policies }) {
  const names = policies.map((policy) => policy.name).join("\n");
  const found = useRead(async (signal) => {
    const all = await maybe(["find"], { network: address }, { signal });
    if (all) return { total: all.total, rows: all.items.map((item) => ({ policy: item.kind === "policy" ? item.name : null, where: item.name ? `@${item.name}` : item.kind, list: item.side ?? item.kind, rule: item.rule, scopes: item.scopes })) };
    const covers = address.split("/")[0];
    const pages = await Promise.all(policies.map(async (policy) => {
      const page = await get(["policies", policy.name, "rules"], { covers, limit: 20 }, { signal });
      return page.items.map((item) => ({ policy: policy.name, list: item.list, rule: item.rule }));
    }));
    const rows = pages.flat();
    return { total: rows.length, rows };
  }, [address, names]);
  return html`<section class="card" aria-label=${`Rules that hold ${address}`}><div class="card-head"><h2>Rules that hold <code>${address}</code></h2>
      <a href=${`#/explain?source=${encodeURIComponent(address)}`}>Explain its verdict</a></div>
    <${Failure} error=${found.error} />
    ${found.data && html`<${Table} label="Rules" columns=${[{ name: "Policy" }, { name: "List" }, { name: "Rule" }, { name: "Counts in" }, { name: "Place" }]}
      empty=${html`<p class="faint">No rule holds it.</p>`}
      rows=${found.data.rows.map((match, at) => ({ key: at, cells: [match.policy ? html`<a href=${link(match.policy)}>${match.policy}</a>` : match.where, match.list, html`<code>${match.rule.text}</code>`, match.scopes?.join(", ") ?? "", match.rule.place ?? ""] }))} />
      ${found.data.total > found.data.rows.length && html`<p class="faint">${number(found.data.rows.length)} of ${number(found.data.total)}</p>`}`}
  </section>`;
}

function Create({ revision, close }) {
  const [name, setName] = useState("");
  const [comment, setComment] = useState("");
  const [only, setOnly] = useState("only");
  const [allow, setAllow] = useState("");
  const [block, setBlock] = useState("");
  const [except, setExcept] = useState("");
  const [mode, setMode] = useState("enforce");
  const [ends, setEnds] = useState("");
  const [active, setActive] = useState(true);
  const [bound, setBound] = useState(/** @type {string[]} */ (["host"]));
  const services = useRead((signal) => get(["services"], {}, { signal }), []);
  const submit = (event) => {
    event.preventDefault();
    const chosen = bound.filter((scope) => scope !== "host");
    const how = { expires: endOf(ends) };
    const change = {
      change: "create-policy", name: name.trim(), comment: comment.trim() || null,
      allow: only === "only" ? listInput(allow, "allowed", how) : null,
      block: listInput(block, "blocked", how), except: listInput(except, "exceptions"),
      inactive: !active, mode, unbound: bound.length === 0, services: chosen,
    };
    // A policy is made for the host or for services; for both it is bound once more.
    propose({
      title: `Create policy ${change.name}`, ...changing(change), revision,
      done: (changed) => {
        close();
        location.hash = link(change.name);
        if (chosen.length && bound.includes("host")) {
          propose({ title: `Bind ${change.name} to the host`, ...changing({ change: "bind", policy: change.name, service: null }), revision: changed.revision });
        }
      },
    });
  };
  const toggle = (scope) => setBound(bound.includes(scope) ? bound.filter((other) => other !== scope) : [...bound, scope]);
  return html`<${Dialog} title="Create policy" onClose=${close} wide>
    <form onSubmit=${submit} class="form">
      <div class="grid even">
        <${Field} label="Name" hint="3 to 28 letters, digits, underscores and hyphens">${(id, hint) => html`<input id=${id} aria-describedby=${hint} required value=${name} autofocus spellcheck="false" autocomplete="off" onInput=${(event) => setName(event.currentTarget.value)} />`}<//>
        <${Field} label="Comment">${(id) => html`<input id=${id} value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />`}<//>
      </div>
      <${Segments} label="Which sources it allows" value=${only} onChange=${setOnly} options=${[{ value: "only", label: "Allow only these" }, { value: "any", label: "Allow any, block some" }]} />
      ${only === "only" && html`<${Recommended} scopes=${bound} take=${(text) => setAllow([allow.trimEnd(), text].filter(Boolean).join("\n"))} /><${Addresses} label="Allowed addresses" value=${allow} onInput=${setAllow} offerOwn hint="One a line or separated by commas; comments after #; @name for a named list. Files can be dropped here. All others are denied." />`}
      <${Addresses} label="Blocked addresses" value=${block} onInput=${setBlock} rows=${4} hint="Denied even if they are allowed." />
      <fieldset class="checks"><legend>Bound to</legend>
        ${["host", ...(services.data ?? []).map((service) => service.name)].map((scope) => html`<label class="check" key=${scope}><input type="checkbox" checked=${bound.includes(scope)} onChange=${() => toggle(scope)} /><span>${scope === "host" ? "the host" : scope}</span></label>`)}
      </fieldset>
      <details><summary>Exceptions, end, observing</summary><div class="form sub">
        <${Addresses} label="Exceptions from blocked" value=${except} onInput=${setExcept} rows=${3} hint="What the blocked addresses hold and this policy does not block." />
        <div class="grid even"><${Ending} label="The rules end" value=${ends} set=${setEnds} none="never" />
        <${Field} label="Mode">${(id) => html`<select id=${id} value=${mode} onChange=${(event) => setMode(event.currentTarget.value)}><option value="enforce">enforce</option><option value="observe">observe: count what it would deny</option></select>`}<//></div></div></details>
      <label class="check"><input type="checkbox" checked=${active} onChange=${(event) => setActive(event.currentTarget.checked)} /><span>Active: it governs what it is bound to</span></label>
      <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${name.trim().length === 0}>Review</button></p>
    </form>
  <//>`;
}

/** Fills the list with the sources that came and stayed, as the agent recommends them. */
function Recommended({ scopes, take }) {
  const [busy, setBusy] = useState(false);
  const fill = async () => {
    setBusy(true);
    try {
      const found = await get(["recommend"], { service: scopes.find((scope) => scope !== "host") });
      if (found.entries.length) take(`# ${number(found.covered)} sources that got in and stayed ${found.stayed} or longer\n${found.entries.map((entry) => entry.cidr).join("\n")}`);
      notify(found.entries.length ? `${number(found.entries.length)} entries hold ${number(found.covered)} sources that got in.` : "No source is remembered that got in and stayed.", "plain");
    } catch (error) {
      notify(error.message, "bad");
    }
    setBusy(false);
  };
  return html`<p class="own-address"><button type="button" class="link" disabled=${busy} onClick=${fill}>Fill in the sources that got in during the last 90 days</button></p>`;
}
