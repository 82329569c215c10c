// @ts-check
// Grants: what users and groups may do.
import { about, call, get } from "../api.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Failure, Field, Head, Loading, Table, Time } from "../parts.js";
import { caller, useCell, useMay, useRead, useRevision } from "../store.js";
import { html, useState } from "../ui.js";
import { run } from "./bans.js";

const PRIVILEGES = [["admin", "everything"], ["create", "create policies, lists and services"], ["attach", "activate and bind policies"], ["bypass", "exempt sources"], ["ban", "ban sources"], ["feed", "refresh feeds, nothing else"], ["metrics", "read metrics and notices, nothing else"], ["read", "see everything"]];

export default function Grants() {
  const revision = useRevision();
  const known = useCell(caller);
  const [granting, setGranting] = useState(false);
  const read = useRead((signal) => get(["grants"], {}, { signal }), [revision]);
  const may = useMay("admin") && !about?.read_only;
  const revoke = async (grant) => {
    await run(() => call("DELETE", ["grants"], { query: { privilege: grant.privilege, to: grant.to, policy: grant.policy } }), `${grant.to} no longer has ${grant.privilege}.`);
    read.reload();
  };
  return html`<${Head} title="Grants" help="access-control" sub="What OS users and groups may do. The user root may do everything; a policy's owner may alter and drop it.">
      <button type="button" class="primary" disabled=${!may} onClick=${() => setGranting(true)}><${Icon} name="plus" /> Grant</button><//>
    ${known && html`<p class="panel">You are <strong>${known.user}</strong>${known.privileges.length ? html` and have ${known.privileges.join(", ")}` : ""}.</p>`}
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
    ${read.data && html`<${Table} label="Grants" columns=${[{ name: "Holder" }, { name: "Privilege" }, { name: "Only with policy" }, { name: "Granted by" }, { name: "Granted" }, { name: "" }]}
      empty=${html`<${Empty} title="Nothing is granted: only root may use the agent." />`}
      rows=${read.data.map((grant) => ({ key: `${grant.to} ${grant.privilege} ${grant.policy ?? ""}`, cells: [html`<strong>${grant.to}</strong>`, grant.privilege, grant.policy ?? "", grant.granted_by, html`<${Time} at=${grant.granted} />`,
        html`<button type="button" class="small danger" disabled=${!may} aria-label=${`Revoke ${grant.privilege} of ${grant.to}`} onClick=${() => revoke(grant)}>Revoke</button>`] }))} />`}
    ${granting && html`<${Grant} close=${() => setGranting(false)} done=${read.reload} />`}`;
}

function Grant({ close, done }) {
  const [privilege, setPrivilege] = useState("read");
  const [kind, setKind] = useState("user");
  const [name, setName] = useState("");
  const [policy, setPolicy] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const body = { privilege, to: `${kind}:${name.trim()}`, policy: privilege === "attach" && policy.trim() ? policy.trim() : undefined };
    if (await run(() => call("POST", ["grants"], { body }), `${body.to} has ${privilege}.`)) close();
    done();
  };
  return html`<${Dialog} title="Grant a privilege" onClose=${close}><form class="form" onSubmit=${submit}>
    <${Field} label="Privilege">${(id) => html`<select id=${id} value=${privilege} onChange=${(event) => setPrivilege(event.currentTarget.value)}>${PRIVILEGES.map(([value, words]) => html`<option value=${value}>${value}: ${words}</option>`)}</select>`}<//>
    <div class="grid even"><${Field} label="To a">${(id) => html`<select id=${id} value=${kind} onChange=${(event) => setKind(event.currentTarget.value)}><option value="user">user</option><option value="group">group</option></select>`}<//>
    <${Field} label="Name">${(id) => html`<input id=${id} required value=${name} spellcheck="false" autocomplete="off" onInput=${(event) => setName(event.currentTarget.value)} />`}<//></div>
    ${privilege === "attach" && html`<${Field} label="Only with policy" hint="Empty: with all">${(id, hint) => html`<input id=${id} aria-describedby=${hint} value=${policy} spellcheck="false" onInput=${(event) => setPolicy(event.currentTarget.value)} />`}<//>`}
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary">Grant</button></p></form><//>`;
}
