// @ts-check
// Named lists, and feeds: lists whose content comes from a URL or file.
import { about, call, changing } from "../api.js";
import { Addresses, listInput } from "../addresses.js";
import { propose } from "../change.js";
import { number, span } from "../format.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Ends, Failure, Field, Head, Pill, Search, Table, Time, useTyped } from "../parts.js";
import { useMay, useRead, useRevision } from "../store.js";
import { html, useEffect, useState } from "../ui.js";
import { Virtual } from "../virtual.js";
import { run } from "./bans.js";

export default function Lists({ parts }) {
  return parts[0] ? html`<${List} key=${parts[0]} name=${parts[0]} />` : html`<${All} />`;
}

function useLists() {
  const revision = useRevision();
  return useRead(async (signal) => {
    const [{ data: lists, revision }, { data: feeds }] = await Promise.all([call("GET", ["lists"], { signal }), call("GET", ["feeds"], { signal })]);
    return { lists, feeds, revision };
  }, [revision]);
}

const link = (name) => `#/lists/${encodeURIComponent(name)}`;

function All() {
  const read = useLists();
  const [creating, setCreating] = useState(false);
  const may = useMay("create") && !about?.read_only;
  const own = (read.data?.lists ?? []).filter((list) => !list.feed);
  const refreshFeed = async (feed) => { await run(() => call("POST", ["feeds", feed.name, "refresh"]), `A refresh of ${feed.name} is requested.`); read.reload(); };
  return html`<${Head} title="Lists and feeds" help="policies#named-lists" sub="Addresses under a name, to which any number of policies refer as @name.">
      <button type="button" class="primary" disabled=${!may} onClick=${() => setCreating(true)}><${Icon} name="plus" /> Create list</button><//>
    <${Failure} error=${read.error} retry=${read.reload} />
    ${read.data && html`
      <${Table} label="Lists" columns=${[{ name: "Name" }, { name: "Entries", number: true }, { name: "Policies" }, { name: "Owner" }, { name: "Changed" }]}
        empty=${html`<${Empty} title="There is no list." />`}
        rows=${own.map((list) => ({ key: list.name, cells: [html`<a class="strong" href=${link(list.name)}>@${list.name}</a>${list.comment && html`<span class="under">${list.comment}</span>`}`, number(list.entry_count), list.policies.join(", ") || html`<span class="faint">none</span>`, list.owner, html`<${Time} at=${list.altered} />`] }))} />
      <section class="card" aria-labelledby="feeds"><div class="card-head"><h2 id="feeds">Feeds</h2><a href="/guide/feeds" target="_blank" rel="noopener">Guide: feeds</a></div>
        <${Table} label="Feeds" columns=${[{ name: "Name" }, { name: "State" }, { name: "Entries", number: true }, { name: "Fetched" }, { name: "Next" }, { name: "Source" }, { name: "" }]}
          empty=${html`<p class="faint">There is no feed. Feeds are defined in a policy file.</p>`}
          rows=${read.data.feeds.map((feed) => ({ key: feed.name, cells: [html`<a class="strong" href=${link(feed.name)}>@${feed.name}</a>`, html`<${State} feed=${feed} />`, number(feed.entries), html`<${Time} at=${feed.fetched} />`, html`<${Time} at=${feed.next} />`,
            html`<span class="break">${feed.settings.source}</span><span class="under">every ${span(feed.settings.interval)}</span>`, html`<button type="button" class="small" disabled=${about?.read_only} aria-label=${`Refresh ${feed.name}`} onClick=${() => refreshFeed(feed)}>Refresh</button>`] }))} /></section>`}
    ${creating && html`<${Create} revision=${read.data?.revision} close=${() => setCreating(false)} />`}`;
}

function State({ feed }) {
  if (feed.error) return html`<${Pill} kind="bad">failed</><span class="under">${feed.error}</span>`;
  if (feed.stale) return html`<${Pill} kind="warn">stale</>`;
  return feed.fetched ? html`<${Pill} kind="good">current</>` : html`<${Pill}>not fetched</>`;
}

function Create({ revision, close }) {
  const [name, setName] = useState("");
  const [comment, setComment] = useState("");
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    propose({ title: `Create list ${name.trim()}`, send: changing({ change: "create-list", name: name.trim(), comment: comment.trim() || null, entries: listInput(text, "entries") }), revision, done: close });
  };
  return html`<${Dialog} title="Create list" onClose=${close} wide><form class="form" onSubmit=${submit}>
    <div class="grid even"><${Field} label="Name">${(id) => html`<input id=${id} required value=${name} spellcheck="false" autocomplete="off" onInput=${(event) => setName(event.currentTarget.value)} />`}<//>
    <${Field} label="Comment">${(id) => html`<input id=${id} value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />`}<//></div>
    <${Addresses} label="Entries" value=${text} onInput=${setText} hint="One a line or separated by commas; comments after #. Files can be dropped here." />
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary">Review</button></p></form><//>`;
}

function List({ name }) {
  const read = useLists();
  const list = read.data?.lists.find((list) => list.name === name);
  const feed = read.data?.feeds.find((feed) => feed.name === name);
  const [editing, setEditing] = useState(false);
  const filter = useTyped("");
  const [chosen, setChosen] = useState(/** @type {Map<string, string>} */ (new Map()));
  useEffect(() => setChosen(new Map()), [read.data?.revision]);
  const at = read.data?.revision ?? null;
  const may = !about?.read_only && !feed;
  const make = (title, change, done) => propose({ title, send: changing(change), revision: at, done });
  const toggle = (rule) => {
    const next = new Map(chosen);
    if (!next.delete(rule.cidr)) next.set(rule.cidr, rule.text);
    setChosen(next);
  };
  const row = (item) => html`<span class="cell pick" role="cell"><input type="checkbox" aria-label=${`Select ${item.entry.text}`} disabled=${!may} checked=${chosen.has(item.entry.cidr)} onChange=${() => toggle(item.entry)} /></span>
    <span class="cell address" role="cell"><code>${item.entry.text}</code></span><span class="cell words" role="cell"><${Ends} rule=${item.entry} />${item.entry.comment}</span><span class="cell place faint" role="cell">${item.entry.place}</span>`;
  return html`<${Head} title=${`@${name}`} help="policies#named-lists" back=${{ href: "#/lists", label: "Lists and feeds" }} sub=${list?.comment}>
      ${list && !feed && html`<button type="button" class="primary" disabled=${!may} onClick=${() => setEditing(true)}><${Icon} name="plus" /> Add or remove entries</button>
        <button type="button" class="danger" disabled=${!may} onClick=${() => make(`Drop list ${name}`, { change: "drop-list", name }, () => { location.hash = "#/lists"; })}>Delete</button>`}<//>
    <${Failure} error=${read.error} retry=${read.reload} />
    ${read.data && !list && html`<${Empty} title=${`There is no list ${name}.`} />`}
    ${list && html`<dl class="facts"><div><dt>Entries</dt><dd>${number(list.entry_count)}</dd></div><div><dt>Policies</dt><dd>${list.policies.join(", ") || "none"}</dd></div><div><dt>Owner</dt><dd>${list.owner}</dd></div><div><dt>Changed</dt><dd><${Time} at=${list.altered} /></dd></div>
        ${feed && html`<div><dt>Feed</dt><dd><${State} feed=${feed} /></dd></div>`}</dl>
      <div class="toolbar"><${Search} label="Filter entries" placeholder="Text" value=${filter.text} onInput=${filter.set} /><span class="spring"></span>
        ${chosen.size > 0 && html`<button type="button" class="danger" onClick=${() => make(`Remove ${chosen.size} entries of ${name}`, { change: "alter-list", name, entries: { edit: "edit", remove: { items: [...chosen.values()] } } })}>Remove ${chosen.size} selected</button>`}</div>
      <${Virtual} path=${["lists", name, "entries"]} query=${{ text: filter.settled.trim() || undefined }} filtered=${filter.settled.trim() !== ""} total=${list.entry_count} base=${0} revision=${at} row=${row} label=${`Entries of ${name}`}
        empty=${html`<${Empty} title=${filter.settled ? "No entry matches." : "The list is empty."} />`} />`}
    ${editing && html`<${Edit} name=${name} close=${() => setEditing(false)} make=${make} />`}`;
}

function Edit({ name, close, make }) {
  const [add, setAdd] = useState("");
  const [remove, setRemove] = useState("");
  const submit = (event) => {
    event.preventDefault();
    make(`Edit list ${name}`, { change: "alter-list", name, entries: { edit: "edit", add: listInput(add, "added"), remove: listInput(remove, "removed") } }, close);
  };
  return html`<${Dialog} title=${`Add or remove entries of ${name}`} onClose=${close} wide><form class="form" onSubmit=${submit}>
    <${Addresses} label="Add" value=${add} onInput=${setAdd} /><${Addresses} label="Remove" value=${remove} onInput=${setRemove} rows=${3} />
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${!add.trim() && !remove.trim()}>Review</button></p></form><//>`;
}
