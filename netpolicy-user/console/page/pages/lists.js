// @ts-check
// Named lists, and the table of feeds.
import { about, call, changing } from "../api.js";
import { Addresses, Ending, endOf, listInput } from "../addresses.js";
import { propose } from "../change.js";
import { number } from "../format.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Ends, Failure, Field, Head, Loading, Search, Segments, Table, Time, useTyped } from "../parts.js";
import { useMay, useRead, useRevision } from "../store.js";
import { html, useEffect, useState } from "../ui.js";
import { Virtual } from "../virtual.js";
import { EditFeed, FeedFacts, Feeds, FeedState, refreshFeed } from "./feeds.js";

export default function Lists({ parts }) {
  return parts[0] ? html`<${List} key=${parts[0]} name=${parts[0]} />` : html`<${All} />`;
}

function useLists(every) {
  const revision = useRevision();
  return useRead(async (signal, unasked) => {
    const [{ data: lists, revision }, { data: feeds }] = await Promise.all([call("GET", ["lists"], { signal, unasked }), call("GET", ["feeds"], { signal, unasked })]);
    return { lists, feeds, revision };
  }, [revision], every);
}

const link = (name) => `#/lists/${encodeURIComponent(name)}`;

function All() {
  const read = useLists(5000);
  const [creating, setCreating] = useState(/** @type {string|null} */ (null));
  const may = useMay("create") && !about?.read_only;
  const own = (read.data?.lists ?? []).filter((list) => !list.feed);
  const close = () => setCreating(null);
  return html`<${Head} title="Lists and feeds" help="policies#named-lists" sub="Addresses under a name, to which any number of policies refer as @name.">
      <button type="button" disabled=${!may} onClick=${() => setCreating("feed")}><${Icon} name="plus" /> Create feed</button>
      <button type="button" class="primary" disabled=${!may} onClick=${() => setCreating("list")}><${Icon} name="plus" /> Create list</button><//>
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
    ${read.data && html`
      <${Table} label="Lists" columns=${[{ name: "Name" }, { name: "Entries", number: true }, { name: "Policies" }, { name: "Owner" }, { name: "Changed" }]}
        empty=${html`<${Empty} title="There is no list."><p>Make one for addresses that several policies have in common.</p></>`}
        rows=${own.map((list) => ({ key: list.name, cells: [html`<a class="strong" href=${link(list.name)}>@${list.name}</a>${list.comment && html`<span class="under">${list.comment}</span>`}`, number(list.entry_count), list.policies.join(", ") || html`<span class="faint">none</span>`, list.owner, html`<${Time} at=${list.altered} />`] }))} />
      <${Feeds} feeds=${read.data.feeds} reload=${read.reload} />`}
    ${creating === "list" && html`<${Create} revision=${read.data?.revision} close=${close} />`}
    ${creating === "feed" && html`<${EditFeed} revision=${read.data?.revision} close=${close} />`}`;
}

function Create({ revision, close }) {
  const [name, setName] = useState("");
  const [comment, setComment] = useState("");
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    const change = { change: "create-list", name: name.trim(), comment: comment.trim() || null, entries: listInput(text, "entries") };
    propose({ title: `Create list ${change.name}`, ...changing(change), revision, done: () => { close(); location.hash = link(change.name); } });
  };
  return html`<${Dialog} title="Create list" onClose=${close} wide><form class="form" onSubmit=${submit}>
    <div class="grid even"><${Field} label="Name" hint="3 to 28 letters, digits, underscores and hyphens">${(id, hint) => html`<input id=${id} aria-describedby=${hint} required autofocus value=${name} spellcheck="false" autocomplete="off" onInput=${(event) => setName(event.currentTarget.value)} />`}<//>
    <${Field} label="Comment">${(id) => html`<input id=${id} value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />`}<//></div>
    <${Addresses} plain label="Entries" value=${text} onInput=${setText} hint="One a line or separated by commas; comments after #. Files can be dropped here." />
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${!name.trim()}>Review</button></p></form><//>`;
}

function List({ name }) {
  const read = useLists(10000);
  const list = read.data?.lists.find((list) => list.name === name);
  const feed = read.data?.feeds.find((feed) => feed.name === name);
  const [dialog, setDialog] = useState(/** @type {string|null} */ (null));
  const filter = useTyped("");
  const [chosen, setChosen] = useState(/** @type {Map<string, string>} */ (new Map()));
  useEffect(() => setChosen(new Map()), [read.data?.revision]);
  const at = read.data?.revision ?? null;
  const mayChange = !about?.read_only;
  const may = mayChange && !feed;
  const close = () => setDialog(null);
  const make = (title, change, done) => propose({ title, ...changing(change), revision: at, done });
  const toggle = (rule) => {
    const next = new Map(chosen);
    if (!next.delete(rule.cidr)) next.set(rule.cidr, rule.text);
    setChosen(next);
  };
  const sought = filter.settled.trim();
  const isAddress = /^[0-9a-f.:]+$/i.test(sought) && (sought.split(".").length === 4 || sought.includes("::") || sought.split(":").length === 8);
  const row = (item) => html`${may && html`<span class="cell pick" role="cell"><input type="checkbox" aria-label=${`Select ${item.entry.text}`} checked=${chosen.has(item.entry.cidr)} onChange=${() => toggle(item.entry)} /></span>`}
    <span class="cell address" role="cell"><code>${item.entry.text}</code></span><span class="cell words" role="cell"><${Ends} rule=${item.entry} />${item.entry.comment}</span><span class="cell place faint" role="cell">${item.entry.place}</span>`;
  const head = html`${may && html`<span class="cell pick" role="columnheader"><span class="hidden">Select</span></span>`}<span class="cell address" role="columnheader">Entry</span><span class="cell words" role="columnheader">Comment</span><span class="cell place" role="columnheader">Place</span>`;
  return html`<${Head} title=${`@${name}`} help=${feed ? "feeds" : "policies#named-lists"} back=${{ href: "#/lists", label: "Lists and feeds" }} sub=${list?.comment}>
      ${list && (feed
        ? html`<button type="button" class="primary" disabled=${!mayChange} onClick=${async () => { await refreshFeed(feed); read.reload(); }}>Refresh</button>
            <button type="button" disabled=${!mayChange} onClick=${() => setDialog("feed")}>Settings of the feed</button>`
        : html`<button type="button" class="primary" disabled=${!may} onClick=${() => setDialog("edit")}><${Icon} name="plus" /> Add or remove entries</button>`)}
      ${list && html`<button type="button" disabled=${!mayChange} onClick=${() => setDialog("settings")}>Name, comment, owner</button>
        <button type="button" class="danger" disabled=${!mayChange} onClick=${() => make(`Drop list ${name}`, { change: "drop-list", name }, () => { location.hash = "#/lists"; })}>Delete</button>`}<//>
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
    ${read.data && !list && html`<${Empty} title=${`There is no list ${name}.`}><p>It was renamed or dropped: see the <a href="#/history">history</a>.</p></>`}
    ${list && html`<dl class="facts"><div><dt>Entries</dt><dd>${number(list.entry_count)}</dd></div><div><dt>Policies</dt><dd>${list.policies.length ? list.policies.map((policy, at) => html`${at ? ", " : ""}<a href=${`#/policies/${encodeURIComponent(policy)}`}>${policy}</a>`) : "none"}</dd></div><div><dt>Owner</dt><dd>${list.owner}</dd></div><div><dt>Changed</dt><dd><${Time} at=${list.altered} /></dd></div>
        ${feed && html`<div><dt>State</dt><dd><${FeedState} feed=${feed} /></dd></div>`}</dl>
      ${feed && html`<${FeedFacts} feed=${feed} />`}
      <div class="toolbar"><${Search} label="Filter entries" placeholder="Text, or an address that they cover" value=${filter.text} onInput=${filter.set} /><span class="spring"></span>
        ${chosen.size > 0 && html`<button type="button" class="danger" onClick=${() => make(`Remove ${chosen.size === 1 ? [...chosen.values()][0] : `${chosen.size} entries`} of ${name}`, { change: "alter-list", name, entries: { edit: "edit", remove: { items: [...chosen.values()] } } })}>Remove ${chosen.size} selected</button>`}</div>
      <${Virtual} path=${["lists", name, "entries"]} query=${isAddress ? { covers: sought } : { text: sought || undefined }} filtered=${sought !== ""} total=${list.entry_count} base=${0} revision=${`${at} ${feed?.fetched ?? ""}`} row=${row} head=${head} label=${`Entries of ${name}`}
        empty=${html`<${Empty} title=${sought ? "No entry matches." : feed && !feed.fetched ? "Nothing was fetched yet." : "The list is empty."} />`} />`}
    ${dialog === "edit" && html`<${Edit} name=${name} close=${close} make=${make} />`}
    ${dialog === "settings" && list && html`<${Settings} list=${list} isFeed=${Boolean(feed)} close=${close} make=${make} />`}
    ${dialog === "feed" && html`<${EditFeed} feed=${feed} list=${list} revision=${at} close=${close} />`}`;
}

function Edit({ name, close, make }) {
  const [how, setHow] = useState("edit");
  const [add, setAdd] = useState("");
  const [remove, setRemove] = useState("");
  const [whole, setWhole] = useState("");
  const [ends, setEnds] = useState("");
  const submit = (event) => {
    event.preventDefault();
    const expires = endOf(ends);
    const entries = how === "edit" ? { edit: "edit", add: listInput(add, "added", { expires }), remove: listInput(remove, "removed") } : { edit: "set", list: listInput(whole, "replaced", { expires }) };
    make(`Edit list ${name}`, { change: "alter-list", name, entries }, close);
  };
  return html`<${Dialog} title=${`Add or remove entries of ${name}`} onClose=${close} wide><form class="form" onSubmit=${submit}>
    <${Segments} label="How" value=${how} onChange=${setHow} options=${[{ value: "edit", label: "Add and remove" }, { value: "set", label: "Replace all" }]} />
    ${how === "edit" ? html`<${Addresses} plain label="Add" value=${add} onInput=${setAdd} /><${Addresses} plain label="Remove" value=${remove} onInput=${setRemove} rows=${3} />` : html`<${Addresses} plain label="All entries" value=${whole} onInput=${setWhole} rows=${10} />`}
    <${Ending} label="The added entries end" value=${ends} set=${setEnds} none="never" />
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${how === "edit" ? !add.trim() && !remove.trim() : !whole.trim()}>Review</button></p></form><//>`;
}

function Settings({ list, isFeed, close, make }) {
  const [name, setName] = useState(list.name);
  const [comment, setComment] = useState(list.comment ?? "");
  const [owner, setOwner] = useState(list.owner);
  const one = (event, title, change, done) => { event.preventDefault(); make(title, change, done); };
  return html`<${Dialog} title=${`Settings of ${list.name}`} onClose=${close}>
    <form class="form inline" onSubmit=${(event) => one(event, `Rename list ${list.name}`, { change: "rename-list", name: list.name, to: name.trim() }, () => { close(); location.hash = link(name.trim()); })}>
      <${Field} label="Name" hint="Policies go on referring to it.">${(id, hint) => html`<input id=${id} aria-describedby=${hint} value=${name} required spellcheck="false" onInput=${(event) => setName(event.currentTarget.value)} />`}<//>
      <button type="submit" disabled=${name.trim() === list.name}>Rename</button></form>
    <form class="form inline" onSubmit=${(event) => one(event, `Comment on list ${list.name}`, { change: isFeed ? "alter-feed" : "alter-list", name: list.name, comment: comment.trim() }, close)}>
      <${Field} label="Comment">${(id) => html`<input id=${id} value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />`}<//>
      <button type="submit" disabled=${comment.trim() === (list.comment ?? "")}>Change</button></form>
    <form class="form inline" onSubmit=${(event) => one(event, `Give list ${list.name} to ${owner}`, { change: "set-list-owner", list: list.name, owner: owner.trim() }, close)}>
      <${Field} label="Owner" hint="An OS user, or group: and a group">${(id, hint) => html`<input id=${id} aria-describedby=${hint} value=${owner} required spellcheck="false" onInput=${(event) => setOwner(event.currentTarget.value)} />`}<//>
      <button type="submit" disabled=${owner.trim() === list.owner}>Give</button></form><//>`;
}
