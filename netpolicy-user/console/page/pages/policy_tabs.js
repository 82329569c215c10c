// @ts-check
// What else is known of one policy: what it would deny, its statement in SQL, its history.
import { call, get, save } from "../api.js";
import { ago, count, exact, number } from "../format.js";
import { Empty, Failure, Loading, More, Pill, Segments, Table, Time, sentence, useParts } from "../parts.js";
import { notify, useRead } from "../store.js";
import { html, useState } from "../ui.js";

const DIALECTS = [{ value: "snowflake", label: "Snowflake" }, { value: "materialize", label: "Materialize" }, { value: "lakehouse", label: "Lakehouse" }];

/** Lines of a statement that are shown; all of it can be copied and saved. */
const SHOWN = 2000;

/** The policy as a statement, written by the agent. */
export function Sql({ name, revision }) {
  const [dialect, setDialect] = useState("snowflake");
  const read = useRead(async (signal) => {
    const text = `SHOW CREATE NETWORK POLICY "${name.replaceAll('"', '""')}"`;
    const quoted = dialect === "lakehouse" ? `SHOW CREATE NETWORK POLICY ${name}` : text;
    const { data } = await call("POST", ["sql"], { query: { dry_run: true }, body: { text: quoted, dialect, name: "console" }, signal });
    const rows = data.results.flatMap((result) => result.rows ?? []);
    const statement = rows.map((row) => row.at(-1)).join("\n");
    return { statement, ...beginning(statement), warnings: data.results.flatMap((result) => result.warnings ?? []) };
  }, [name, dialect, revision]);
  const copy = async () => {
    await navigator.clipboard.writeText(read.data?.statement ?? "");
    notify("Copied.", "good");
  };
  return html`<div class="toolbar"><${Segments} label="Dialect" options=${DIALECTS} value=${dialect} onChange=${setDialect} /><span class="spring"></span>
      <button type="button" disabled=${!read.data} onClick=${copy}>Copy</button>
      <button type="button" disabled=${!read.data} onClick=${() => save(`${name}.sql`, `${read.data?.statement}\n`)}>Save</button></div>
    <${Failure} error=${read.error} /><${Loading} of=${read} />
    ${read.data && html`<pre class="code" tabindex="0" aria-label="Statement">${read.data.shown}</pre>
      ${read.data.left > 0 && html`<p class="faint">${count(read.data.left, "more line")}: Copy and Save take all of it.</p>`}
      ${read.data.warnings.map((warning) => html`<p class="panel warn">${sentence(warning)}</p>`)}`}`;
}

/** The first lines of a text, and how many follow. @param {string} text */
function beginning(text) {
  let end = 0;
  for (let line = 0; line < SHOWN; line++) {
    const next = text.indexOf("\n", end);
    if (next < 0) return { shown: text, left: 0 };
    end = next + 1;
  }
  return { shown: text.slice(0, end), left: text.slice(end).split("\n").length };
}

const SPANS = [{ value: "24h", label: "24 h" }, { value: "7d", label: "7 d" }, { value: "30d", label: "30 d" }];

/** The policy, as if it were active and enforced, judged over the sources that came. */
export function Evaluate({ policy, revision }) {
  const [since, setSince] = useState("30d");
  const read = useRead((signal) => get(["evaluate"], { policy: policy.name, since, limit: 200 }, { signal }), [policy.name, since, revision]);
  const found = read.data;
  return html`<div class="toolbar"><${Segments} label="Sources seen in the last" options=${SPANS} value=${since} onChange=${setSince} />
      <span class="hint">Judged as if it were active and enforced, with what else is in force.</span></div>
    <${Failure} error=${read.error} /><${Loading} of=${read} />
    ${found && html`<p>Of ${count(found.judged, "source")} seen since ${exact(found.remembered_since ?? found.since)}, it would newly deny <strong>${number(found.denied)}</strong> that got in, and let in <strong>${number(found.allowed)}</strong> that ${found.allowed === 1 ? "was" : "were"} denied.</p>
      ${(found.notes ?? []).map((note) => html`<p class="panel">${sentence(note)}</p>`)}
      <${Table} label="Sources that would fare otherwise" columns=${[{ name: "Source" }, { name: "Scope" }, { name: "Becomes" }, { name: "Why" }, { name: "Attempts", number: true }, { name: "Last seen" }]}
        empty=${html`<${Empty} title="No source would fare otherwise." />`}
        rows=${found.sources.map((row) => ({ key: `${row.source} ${row.scope} ${row.becomes}`, cells: [html`<a href=${`#/explain?source=${encodeURIComponent(row.source)}`}><code>${row.source}</code></a>`, row.scope, html`<${Pill} kind=${row.becomes === "denied" ? "bad" : "good"}>${row.becomes}</>`, row.sentence ? sentence(row.sentence) : row.reason, html`${row.sampled ? "about " : ""}${number(row.attempts)}`, html`<time datetime=${row.last_seen} title=${exact(row.last_seen)}>${ago(row.last_seen)}</time>`] }))} />`}`;
}

/** The revisions that changed the policy. */
export function Changes({ name, revision }) {
  const parts = useParts(["revisions"], { policy: name, changes: true, limit: 50 }, [name, revision]);
  return html`<${Failure} error=${parts.error} /><${Loading} of=${{ data: parts.items, error: parts.error }} />
    ${parts.items && html`<${Table} label="History" columns=${[{ name: "Revision", number: true }, { name: "What" }, { name: "Who" }, { name: "When" }]}
      empty=${html`<${Empty} title="No revision that is kept changed it." />`}
      rows=${parts.items.map((item) => ({ key: item.revision, cells: [html`<a href=${`#/history/${item.revision}`}>${item.revision}</a>`, html`${item.action}<${Lines} lines=${item.changes} />`, item.actor, html`<${Time} at=${item.created} />`] }))} /><${More} parts=${parts} />
      <p class="faint">What was refused is in the <a href=${`#/audit?text=${encodeURIComponent(name)}`}>audit log</a>.</p>`}`;
}

/** Lines of what changed, shown on request. */
export function Lines({ lines }) {
  if (!lines?.length) return null;
  return html`<details><summary>${count(lines.length, "line")}</summary><pre class="code">${lines.join("\n")}</pre></details>`;
}
