// @ts-check
// SQL in the dialects of Snowflake, Materialize and Lakehouse.
import { ApiError, about, call, own } from "../api.js";
import { Plan } from "../change.js";
import { opensSentence } from "../format.js";
import { Failure, Field, Head, Table, sentence } from "../parts.js";
import { refresh, status, useCell } from "../store.js";
import { html, useRef, useState } from "../ui.js";

const DIALECTS = [["", "as the text says"], ["snowflake", "Snowflake"], ["materialize", "Materialize"], ["lakehouse", "Lakehouse"]];

export default function Sql() {
  const [text, setText] = useState(sessionStorage.getItem("netpolicy-sql") ?? "-- dialect: snowflake\nSHOW NETWORK POLICIES;\n");
  const [dialect, setDialect] = useState("");
  const [atomic, setAtomic] = useState(true);
  const fleet = useCell(status).data?.agent?.fleet;
  const [override, setOverride] = useState(false);
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  const [failure, setFailure] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const [consent, setConsent] = useState(false);
  const area = useRef(/** @type {HTMLTextAreaElement|null} */ (null));
  const type = (value) => { setText(value); sessionStorage.setItem("netpolicy-sql", value); setConsent(false); setAnswer((answer) => answer && { ...answer, at: undefined }); };
  const runSql = async (query) => {
    setBusy(true);
    setFailure(null);
    setAnswer(null);
    // Run does what the dry run showed, or nothing.
    if (query.dry_run) await refresh();
    const at = query.dry_run ? status.value.data?.agent?.revision : answer?.trial ? answer.at : undefined;
    try {
      const { data } = await call("POST", ["sql"], { revision: at, query: { ...query, local_override: override, from: own.get() || undefined, opens: consent ? answer?.error?.opens?.key ?? opensOf(answer)?.key : undefined }, body: { text, dialect: dialect || null, atomic, name: "console" } });
      setAnswer({ ...data, at, trial: query.dry_run });
    } catch (error) {
      if (error instanceof ApiError && error.problem.results) setAnswer({ ...error.problem, at, trial: query.dry_run });
      else setFailure(error);
    }
    setConsent(false);
    await refresh();
    setBusy(false);
  };
  const error = answer?.error;
  const go = () => {
    const lines = text.split("\n");
    const start = lines.slice(0, error.line - 1).reduce((sum, line) => sum + line.length + 1, 0) + error.column - 1;
    area.current?.focus();
    area.current?.setSelectionRange(start, start + 1);
  };
  const opens = error?.opens ?? opensOf(answer);
  return html`<${Head} title="SQL" help="sql" sub="Statements of Snowflake, Materialize and Lakehouse, with the meaning that each has there." />
    <form class="sql" onSubmit=${(event) => { event.preventDefault(); void runSql({ dry_run: true }); }}>
      <div class="toolbar"><${Field} label="Dialect">${(id) => html`<select id=${id} value=${dialect} onChange=${(event) => setDialect(event.currentTarget.value)}>${DIALECTS.map(([value, label]) => html`<option value=${value}>${label}</option>`)}</select>`}<//>
        <label class="check"><input type="checkbox" checked=${atomic} onChange=${(event) => setAtomic(event.currentTarget.checked)} /><span>All of it or nothing</span></label>
        ${fleet && html`<label class="check"><input type="checkbox" checked=${override} onChange=${(event) => setOverride(event.currentTarget.checked)} /><span>On this host alone, over the fleet</span></label>`}<span class="spring"></span>
        <button type="submit" disabled=${busy}>Dry run</button>
        <button type="button" disabled=${busy || about?.read_only} onClick=${() => runSql({})}>Run</button>
        <button type="button" class="primary" disabled=${busy || about?.read_only} onClick=${() => runSql({ confirm_within: 60 })}>Run and confirm within 60 s</button></div>
      <${Editor} text=${text} onInput=${type} area=${area} error=${error} />
    </form>
    <${Failure} error=${failure} />
    <div aria-live="polite">
    ${error && html`<div class="panel bad" role="alert"><p><strong>Line ${error.line}, column ${error.column}: ${error.errors.map(sentence).join("; ")}</strong></p>${error.hint && html`<p>${sentence(error.hint)}</p>`}
      <p>${answer.trial || atomic ? "Nothing was changed." : "What came before it stays."}</p>
      <p><button type="button" onClick=${go}>Go to it</button></p></div>`}
    ${opens && html`<div class="panel warn"><p><strong>This ${opensSentence(opens)}.</strong></p><label class="check"><input type="checkbox" checked=${consent} onChange=${(event) => setConsent(event.currentTarget.checked)} /><span>I consent to exactly that</span></label></div>`}
    ${answer?.results?.map((result, at) => html`<${Result} key=${at} result=${result} trial=${answer.trial} />`)}
    ${answer && !error && !answer.results.length && html`<p class="faint">There is no statement.</p>`}
    </div>`;
}

const opensOf = (answer) => answer?.trial ? answer.results?.map((result) => result.changed?.opens).find(Boolean) : null;

function Result({ result, trial }) {
  return html`<section class="card"><div class="card-head"><h2><code>${result.statement}</code></h2><span class="faint">line ${result.line}</span></div>
    ${result.status && html`<p>${result.status}${trial && result.changed ? " (dry run: nothing was changed)" : ""}</p>`}
    ${(result.warnings ?? []).map((warning) => html`<p class="panel warn">${sentence(warning)}</p>`)}
    ${(result.columns?.length ?? 0) > 0 && html`<${Table} tight label=${result.statement} columns=${result.columns.map((name) => ({ name }))} empty=${html`<p class="faint">No rows.</p>`}
      rows=${(result.rows ?? []).map((row, key) => ({ key, cells: row.map((cell) => cell === null ? html`<span class="faint">NULL</span>` : cell) }))} />`}
    ${(result.changed?.plan?.length ?? 0) > 0 && html`<details open=${trial}><summary>What it changes</summary><${Plan} plan=${result.changed} /></details>`}</section>`;
}

/** A text area, with its lines numbered and the place of an error marked. */
function Editor({ text, onInput, area, error }) {
  const lines = text.split("\n");
  const gutter = useRef(/** @type {HTMLElement|null} */ (null));
  const key = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); event.currentTarget.form.requestSubmit(); }
  };
  return html`<div class="editor"><div class="gutter" aria-hidden="true" ref=${gutter}>${lines.map((_, at) => html`<span class=${error?.line === at + 1 ? "wrong" : ""}>${at + 1}</span>`)}</div>
    <textarea ref=${area} aria-label="SQL" aria-invalid=${Boolean(error)} rows=${Math.min(24, Math.max(8, lines.length + 1))} value=${text} spellcheck="false" autocomplete="off" wrap="off"
      onInput=${(event) => onInput(event.currentTarget.value)} onKeyDown=${key} onScroll=${(event) => { if (gutter.current) gutter.current.scrollTop = event.currentTarget.scrollTop; }}></textarea></div>
    <p class="hint">Ctrl+Enter makes a dry run.</p>`;
}
