// @ts-check
// Checks: policy tests, likely mistakes, what the kernel holds, and the host.
import { about, call, changing, examineHost, get } from "../api.js";
import { propose } from "../change.js";
import { count, number } from "../format.js";
import { Icon } from "../icons.js";
import { Dialog, Empty, Failure, Field, Head, Loading, Pill, Segments, Table, sentence } from "../parts.js";
import { refresh, useMay, useRead, useRevision } from "../store.js";
import { html, useState } from "../ui.js";

const TABS = [
  { value: "tests", label: "Policy tests", Part: Tests },
  { value: "lint", label: "Likely mistakes", Part: Lint },
  { value: "verify", label: "Kernel", Part: Verify },
  { value: "doctor", label: "Host", Part: Doctor },
];

export default function Checks({ parts }) {
  const tab = TABS.find((tab) => tab.value === parts[0]) ?? TABS[0];
  return html`<${Head} title="Checks" help="console#checks" sub="Whether policies do what is expected of them, whether the kernel holds them, and whether the host filters." />
    <nav class="tabs" aria-label="Checks">${TABS.map((one) => html`<a href=${`#/checks/${one.value}`} aria-current=${one === tab ? "page" : undefined}>${one.label}</a>`)}</nav>
    <${tab.Part} />`;
}

/** What is expected of single attempts, and whether it holds. */
function Tests() {
  const revision = useRevision();
  const [edited, setEdited] = useState(/** @type {any} */ (null));
  const read = useRead((signal, unasked) => call("GET", ["tests"], { signal, unasked }), [revision]);
  const may = useMay("admin") && !about?.read_only;
  const at = read.data?.revision ?? null;
  const tests = read.data?.data ?? [];
  const failed = tests.filter((test) => !test.holds).length;
  const attempt = (test) => ({ source: test.source, service: test.service ?? null, port: test.port ?? null });
  const remove = (test) => propose({ title: `Remove the test of ${test.source} to ${target(test)}`, ...changing({ change: "remove-test", ...attempt(test) }), revision: at });
  return html`<div class="toolbar"><p class="spring">A change that would let a test fail is refused. ${tests.length > 0 && html`<strong class=${failed ? "bad-text" : "good-text"}>${failed ? `${failed} of ${count(tests.length, "test")} failed.` : `${count(tests.length, "test")}, all hold.`}</strong>`}</p>
      <button type="button" class="primary" disabled=${!may} onClick=${() => setEdited({})}><${Icon} name="plus" /> Add test</button></div>
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
    ${read.data && html`<${Table} label="Policy tests" columns=${[{ name: "Result" }, { name: "Source" }, { name: "To" }, { name: "Expected" }, { name: "Note" }, { name: "Written in" }, { name: "" }]}
      empty=${html`<${Empty} title="There is no policy test."><p>A test says what is expected of one source, such as that the monitoring may connect: no change breaks that unnoticed.</p></>`}
      rows=${tests.map((test) => ({ key: `${test.source} ${target(test)}`, cells: [html`<${Pill} kind=${test.holds ? "good" : "bad"}>${test.holds ? "holds" : "failed"}</>`,
        html`<a href=${`#/explain?${new URLSearchParams({ source: test.source, ...(test.port || test.service ? { port: String(test.port ?? test.service) } : {}) })}`}><code>${test.source}</code></a>`, target(test), test.expect,
        html`${test.comment ?? ""}${test.why && html`<span class="under bad-text">${sentence(test.why)}</span>`}`, test.place ?? "",
        html`<span class="row-buttons"><button type="button" class="small" disabled=${!may} aria-label=${`Change the test of ${test.source}`} onClick=${() => setEdited({ test })}>Change</button><button type="button" class="small danger" disabled=${!may} aria-label=${`Remove the test of ${test.source}`} onClick=${() => remove(test)}>Remove</button></span>`] }))} />`}
    ${edited && html`<${EditTest} test=${edited.test} revision=${at} close=${() => setEdited(null)} />`}`;
}

/** "postgres port 5432", "port 22", "the host". */
const target = (test) => [test.service, test.port && `port ${test.port}`].filter(Boolean).join(" ") || "the host";

function EditTest({ test, revision, close }) {
  const [source, setSource] = useState(test?.source ?? "");
  const [service, setService] = useState(test?.service ?? "");
  const [port, setPort] = useState(test?.port ? String(test.port) : "");
  const [expect, setExpect] = useState(test?.expect ?? "pass");
  const [comment, setComment] = useState(test?.comment ?? "");
  const services = useRead((signal) => get(["services"], {}, { signal }), []);
  const submit = (event) => {
    event.preventDefault();
    const change = { change: "set-test", source: source.trim(), service: service || null, port: port ? Number(port) : null, expect, comment: comment.trim() || null };
    propose({ title: `${test ? "Change the" : "Add a"} test of ${change.source}`, ...changing(change), revision, done: close });
  };
  return html`<${Dialog} title=${test ? "Change test" : "Add test"} onClose=${close}><form class="form" onSubmit=${submit}>
    <${Field} label="Source address">${(id) => html`<input id=${id} required disabled=${Boolean(test)} autofocus=${!test} value=${source} placeholder="203.0.113.9" spellcheck="false" autocomplete="off" onInput=${(event) => setSource(event.currentTarget.value)} />`}<//>
    <div class="grid even"><${Field} label="To">${(id) => html`<select id=${id} disabled=${Boolean(test)} value=${service} onChange=${(event) => setService(event.currentTarget.value)}><option value="">the host</option>${(services.data ?? []).map((one) => html`<option value=${one.name}>${one.name}</option>`)}</select>`}<//>
    <${Field} label="Port" hint="Empty: any of the service, or of none">${(id, hint) => html`<input id=${id} aria-describedby=${hint} type="number" min="1" max="65535" disabled=${Boolean(test)} value=${port} onInput=${(event) => setPort(event.currentTarget.value)} />`}<//></div>
    <${Field} label="Expected">${(id) => html`<select id=${id} value=${expect} onChange=${(event) => setExpect(event.currentTarget.value)}><option value="pass">it passes</option><option value="drop">it is dropped</option></select>`}<//>
    <${Field} label="Comment">${(id) => html`<input id=${id} value=${comment} maxlength="256" onInput=${(event) => setComment(event.currentTarget.value)} />`}<//>
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${!source.trim()}>Review</button></p></form><//>`;
}

const SEVERITIES = { error: "bad", warning: "warn", note: "plain" };

/** All findings of the agent's lint. */
function Lint() {
  const revision = useRevision();
  const read = useRead((signal, unasked) => get(["lint"], {}, { signal, unasked }), [revision]);
  const [severity, setSeverity] = useState("");
  const found = read.data ?? [];
  const wrong = found.filter((finding) => finding.severity !== "note");
  const options = [{ value: "", label: "Errors and warnings", count: wrong.length }, { value: "all", label: "All, with notes", count: found.length }];
  const shown = severity ? found : wrong;
  return html`<div class="toolbar"><${Segments} label="Severity" options=${options} value=${severity} onChange=${setSeverity} /></div>
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
    ${read.data && html`<${Table} label="Likely mistakes" columns=${[{ name: "Severity" }, { name: "Policy" }, { name: "Finding" }, { name: "Code" }]}
      empty=${html`<${Empty} title="No likely mistake is found." />`}
      rows=${shown.map((finding, at) => ({ key: at, cells: [html`<${Pill} kind=${SEVERITIES[finding.severity]}>${finding.severity}</>`,
        finding.policies.length ? finding.policies.map((name, at) => html`${at ? ", " : ""}<a href=${`#/policies/${encodeURIComponent(name)}`}>${name}</a>`) : html`<span class="faint">${finding.scope ?? "–"}</span>`,
        html`${sentence(finding.message)}${finding.more > 0 && html`<span class="under">And ${number(finding.more)} more like it.</span>`}`, html`<span class="faint nowrap">${finding.code}</span>`] }))} />`}`;
}

/** Whether the kernel holds what the policies say: asked for, since it repairs what differs. */
function Verify() {
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const isAdmin = useMay("admin");
  const may = isAdmin && !about?.read_only;
  const verify = async () => {
    setBusy(true);
    setError(null);
    try {
      setAnswer((await call("POST", ["verify"])).data);
    } catch (failure) {
      setError(failure);
    }
    await refresh();
    setBusy(false);
  };
  return html`<section class="card" aria-label="Verify"><p>All entries in force are read back from the kernel and compared with what the policies say. What differs is repaired, and remembered as a fault for an hour.${!isAdmin && " That requires the privilege admin."}</p>
      <p class="form-foot"><button type="button" class="primary" disabled=${busy || !may} onClick=${verify}>${busy ? "Verifying…" : "Verify now"}</button></p></section>
    <${Failure} error=${error} /><div aria-live="polite">${answer && html`<${Verified} answer=${answer} />`}</div>`;
}

function Verified({ answer }) {
  const { differences, overtaken = [] } = answer;
  const is = differences.length ? "bad" : overtaken.length ? "warn" : "good";
  const title = differences.length ? `What was in force is not what revision ${answer.revision} says` : `Generation ${number(answer.generation)} holds what revision ${answer.revision} says`;
  return html`<section class=${`verdict ${is}`}><div class="hero-mark"><${Icon} name=${is === "good" ? "check" : "warn"} /></div>
    <div class="hero-text"><p class="hero-title">${title}</p><p>${count(answer.entries, "entry", "entries")} read back in ${number(answer.took_ms)} ms.${differences.length > 0 && (answer.repaired ? ` Repaired as generation ${number(answer.generation)}.` : " Not repaired yet: the overview says why.")}</p>
      ${differences.length + overtaken.length > 0 && html`<ul class="faults">${[...differences, ...overtaken].map((line) => html`<li>${sentence(line)}</li>`)}</ul>`}</div></section>`;
}

const HEALTH = { ok: ["good", "ok"], warn: ["warn", "warning"], fail: ["bad", "failure"] };

/** What of the host bears on filtering, as `netpolicy doctor` has it. */
function Doctor() {
  const read = useRead(examineHost, []);
  const report = read.data;
  return html`<div class="toolbar"><p class="spring">Examined by the console as ${about?.user}: what only root may read is said to be unknown. ${report && html`<strong class=${report.failures ? "bad-text" : report.warnings ? "" : "good-text"}>${count(report.failures, "failure")}, ${count(report.warnings, "warning")}.</strong>`}</p>
      <button type="button" onClick=${read.reload}>Examine again</button></div>
    <${Failure} error=${read.error} retry=${read.reload} /><${Loading} of=${read} />
    ${report && html`<${Table} label="Host" columns=${[{ name: "Health" }, { name: "What" }, { name: "Found" }]}
      rows=${report.lines.map((line, at) => ({ key: at, cells: [html`<${Pill} kind=${HEALTH[line.health][0]}>${HEALTH[line.health][1]}</>`, html`<strong>${line.check}</strong>`,
        html`<span class="break">${sentence(line.found)}</span>${line.advice && html`<span class="under">${sentence(line.advice)}</span>`}`] }))} />
      <p class="hint">For a bug report: <code>netpolicy doctor --report FILE</code> writes these lines with every address replaced.</p>`}`;
}
