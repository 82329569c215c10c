// @ts-check
// Services, and the host's settings.
import { about, call, changing, get } from "../api.js";
import { propose } from "../change.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Failure, Field, Head, Loading, Pill, Table } from "../parts.js";
import { useRead, useRevision } from "../store.js";
import { html, useState } from "../ui.js";

export default function Services() {
  const revision = useRevision();
  const [edited, setEdited] = useState(/** @type {any} */ (null));
  const read = useRead(async (signal) => {
    const [{ data: services, revision }, { data: host }] = await Promise.all([call("GET", ["services"], { signal }), call("GET", ["host"], { signal })]);
    return { services, host, revision };
  }, [revision]);
  const may = !about?.read_only;
  const at = read.data?.revision ?? null;
  const drop = (service) => propose({ title: `Remove service ${service.name}`, ...changing({ change: "remove-service", name: service.name }), revision: at });
  const close = () => setEdited(null);
  const host = read.data?.host;
  return html`<${Head} title="Services" help="policies#services" sub="Names for TCP ports, so that policies can apply to them alone.">
      <button type="button" class="primary" disabled=${!may} onClick=${() => setEdited({})}><${Icon} name="plus" /> Add service</button><//>
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
    ${host && html`<section class="card" aria-labelledby="host"><div class="card-head"><h2 id="host">The host</h2><button type="button" disabled=${!may} onClick=${() => setEdited({ host })}>Change</button></div>
      <dl class="facts"><div><dt>Mode</dt><dd><${Mode} mode=${host.mode} /></dd></div><div><dt>Failsafe ports</dt><dd>${host.failsafe_ports || "none"}</dd></div>
      <div><dt>Denied attempts</dt><dd>${host.on_deny === "reset" ? "are answered by a reset" : "get no answer"}</dd></div><div><dt>Policies</dt><dd><${Names} names=${host.policies} /></dd></div></dl></section>`}
    ${read.data && html`<${Table} label="Services" columns=${[{ name: "Name" }, { name: "Ports" }, { name: "Mode" }, { name: "With the host's policies" }, { name: "Denied attempts" }, { name: "Policies" }, { name: "" }]}
      empty=${html`<${Empty} title="There is no service: all ports are the host's."><p>Add one, such as postgres with port 5432, to give it policies of its own.</p></>`}
      rows=${read.data.services.map((service) => ({ key: service.name, cells: [html`<strong>${service.name}</strong>${service.comment && html`<span class="under">${service.comment}</span>`}`, html`<code>${service.ports}</code>`, html`<${Mode} mode=${service.mode} />`,
        service.combine === "and" ? "must pass both" : "its own replace them", service.on_deny === "reset" ? "reset" : "no answer", html`<${Names} names=${service.policies} />`,
        html`<span class="row-buttons"><button type="button" class="small" disabled=${!may} aria-label=${`Change ${service.name}`} onClick=${() => setEdited({ service })}>Change</button><button type="button" class="small danger" disabled=${!may} aria-label=${`Remove ${service.name}`} onClick=${() => drop(service)}>Remove</button></span>`] }))} />`}
    ${edited?.host && html`<${EditHost} host=${edited.host} revision=${at} close=${close} />`}
    ${edited && !edited.host && html`<${EditService} service=${edited.service} revision=${at} close=${close} />`}`;
}

export const Mode = ({ mode }) => (mode === "observe" ? html`<${Pill} kind="warn">observe</>` : html`<${Pill} kind="good">enforce</>`);

const Names = ({ names }) => names.length ? names.map((name, at) => html`${at ? ", " : ""}<a href=${`#/policies/${encodeURIComponent(name)}`}>${name}</a>`) : html`<span class="faint">none</span>`;

function Choice({ label, value, set, options, hint }) {
  return html`<${Field} label=${label} hint=${hint}>${(id, describedby) => html`<select id=${id} aria-describedby=${describedby} value=${value} onChange=${(event) => set(event.currentTarget.value)}>${options.map(([value, label]) => html`<option value=${value}>${label}</option>`)}</select>`}<//>`;
}

const MODES = [["enforce", "enforce: denied attempts are dropped"], ["observe", "observe: they are counted, and pass"]];
const ANSWERS = [["drop", "get no answer"], ["reset", "are answered by a reset"]];
const COMBINES = [["override", "its own policies replace the host's"], ["and", "both must be passed"]];

function EditService({ service, revision, close }) {
  const [name, setName] = useState(service?.name ?? "");
  const [ports, setPorts] = useState(service?.ports ?? "");
  const [combine, setCombine] = useState(service?.combine ?? "override");
  const [mode, setMode] = useState(service?.mode ?? "enforce");
  const [answer, setAnswer] = useState(service?.on_deny ?? "drop");
  const [comment, setComment] = useState(service?.comment ?? "");
  const known = useRead((signal) => service ? Promise.resolve([]) : get(["services", "known"], {}, { signal }), []);
  const same = (known.data ?? []).find((one) => [one.name, ...one.aliases].includes(name.trim().toLowerCase()));
  const submit = (event) => {
    event.preventDefault();
    const fields = { name: name.trim(), ports: ports.split(/[\s,]+/).filter(Boolean), combine, mode, on_deny: answer, comment: comment.trim() || (service ? "" : null) };
    propose({ title: service ? `Change service ${service.name}` : `Add service ${fields.name}`, ...changing({ change: service ? "alter-service" : "add-service", ...fields }), revision, done: close });
  };
  return html`<${Dialog} title=${service ? `Change ${service.name}` : "Add service"} onClose=${close}><form class="form" onSubmit=${submit}>
    <div class="grid even"><${Field} label="Name">${(id) => html`<input id=${id} required disabled=${Boolean(service)} list="known-services" value=${name} placeholder="postgres" spellcheck="false" autocomplete="off" onInput=${(event) => setName(event.currentTarget.value)} />
      <datalist id="known-services">${(known.data ?? []).map((one) => html`<option value=${one.name}>${one.description}</option>`)}</datalist>`}<//>
    <${Field} label="Ports" hint=${same && ports !== same.ports.join(", ") ? html`${same.name} has <button type="button" class="link" onClick=${() => setPorts(same.ports.join(", "))}>${same.ports.join(", ")}</button>: ${same.description}` : "Such as 5432, 7000-7010"}>${(id, hint) => html`<input id=${id} aria-describedby=${hint} required value=${ports} spellcheck="false" autocomplete="off" onInput=${(event) => setPorts(event.currentTarget.value)} />`}<//></div>
    <${Choice} label="With the host's policies" value=${combine} set=${setCombine} options=${COMBINES} />
    <${Choice} label="Mode" value=${mode} set=${setMode} options=${MODES} />
    <${Choice} label="Denied attempts" value=${answer} set=${setAnswer} options=${ANSWERS} />
    <${Field} label="Comment">${(id) => html`<input id=${id} value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />`}<//>
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary">Review</button></p></form><//>`;
}

function EditHost({ host, revision, close }) {
  const [mode, setMode] = useState(host.mode);
  const [answer, setAnswer] = useState(host.on_deny ?? "drop");
  const [ports, setPorts] = useState(host.failsafe_ports);
  const submit = (event) => {
    event.preventDefault();
    const change = { change: "set-host", mode, on_deny: answer, failsafe_ports: ports.split(/[\s,]+/).filter(Boolean) };
    propose({ title: "Change the host's settings", ...changing(change), revision, done: close });
  };
  return html`<${Dialog} title="The host's settings" onClose=${close}><form class="form" onSubmit=${submit}>
    <${Choice} label="Mode" value=${mode} set=${setMode} options=${MODES} />
    <${Choice} label="Denied attempts" value=${answer} set=${setAnswer} options=${ANSWERS} hint="On ports of no service" />
    <${Field} label="Failsafe ports" hint="Never filtered, so that a wrong policy does not cost you SSH">${(id, hint) => html`<input id=${id} aria-describedby=${hint} value=${ports} spellcheck="false" onInput=${(event) => setPorts(event.currentTarget.value)} />`}<//>
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary">Review</button></p></form><//>`;
}
