// @ts-check
// The dialogs that change one policy.
import { get } from "../api.js";
import { Addresses, Ending, endOf, listInput } from "../addresses.js";
import { Icon } from "../icons.js";
import { Dialog, Failure, Field, Segments } from "../parts.js";
import { useRead } from "../store.js";
import { html, useState } from "../ui.js";

/** Adds and removes addresses, or replaces a list. */
export function Edit({ policy, close, make }) {
  const [list, setList] = useState("allow");
  const [how, setHow] = useState("edit");
  const [add, setAdd] = useState("");
  const [remove, setRemove] = useState("");
  const [whole, setWhole] = useState("");
  const [ends, setEnds] = useState("");
  const [comment, setComment] = useState("");
  const of = () => ({ expires: endOf(ends), comment: comment.trim() || undefined });
  const edits = {
    edit: () => ({ edit: "edit", add: listInput(add, "added", of()), remove: listInput(remove, "removed") }),
    set: () => ({ edit: "set", list: listInput(whole, "replaced", of()) }),
    any: () => ({ edit: "any" }),
  };
  const submit = (event) => {
    event.preventDefault();
    make(`Edit ${policy.name}`, { change: "alter-policy", name: policy.name, [list]: edits[how]() }, close);
  };
  const words = { allow: "allowed", block: "blocked", except: "exceptions" }[list];
  const isAny = policy.allow_count === null || policy.allow_count === undefined;
  const isEmpty = { edit: !add.trim() && !remove.trim(), set: false, any: false }[how];
  return html`<${Dialog} title=${`Add or remove addresses of ${policy.name}`} onClose=${close} wide>
    <form class="form" onSubmit=${submit}>
      <div class="toolbar"><${Segments} label="List" value=${list} onChange=${setList} options=${[{ value: "allow", label: "Allowed" }, { value: "block", label: "Blocked" }, { value: "except", label: "Exceptions from blocked" }]} />
        <${Segments} label="How" value=${how} onChange=${setHow} options=${[{ value: "edit", label: "Add and remove" }, { value: "set", label: "Replace all" }, { value: "any", label: list === "allow" ? "Allow any" : "Empty it" }]} /></div>
      ${how === "edit" && list === "allow" && isAny && html`<p class="panel warn"><${Icon} name="warn" /> This policy allows any source now. With the first allowed address it allows only what is listed.</p>`}
      ${how === "edit" && html`
        <${Addresses} label=${`Add to ${words}`} value=${add} onInput=${setAdd} offerOwn=${list === "allow"} hint="One a line or separated by commas; comments after #; @name for a named list. Files can be dropped here." />
        <${Addresses} label=${`Remove from ${words}`} value=${remove} onInput=${setRemove} rows=${3} hint="By what they mean: 10.0.0.1/24 removes 10.0.0.0/24." />`}
      ${how === "set" && html`<${Addresses} label=${`All ${words}`} value=${whole} onInput=${setWhole} offerOwn=${list === "allow"} rows=${10} hint=${list === "allow" ? "In place of all that is on the list, named lists too. Nothing here: it allows no source." : "In place of all that is on the list, named lists too."} />`}
      ${how === "any" && html`<p class="panel">${{ allow: "It restricts nothing by allowing any more: what it does not block, it does not decide.", block: "It blocks nothing any more.", except: "What it blocks is blocked without exceptions." }[list]}</p>`}
      ${how !== "any" && html`<div class="grid even">
        <${Ending} label="The added rules end" value=${ends} set=${setEnds} none="never" />
        <${Field} label="Comment on each of them">${(id) => html`<input id=${id} value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />`}<//></div>`}
      <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${isEmpty}>Review</button></p>
    </form><//>`;
}

export function Bindings({ policy, close, make }) {
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

export function Settings({ policy, close, make, go }) {
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
