// @ts-check
// Explain: source and service in, verdict and rule out.
import { about, call, changing, get, own } from "../api.js";
import { propose } from "../change.js";
import { Icon } from "../icons.js";
import { Empty, Failure, Field, Head, Pill, Time, sentence } from "../parts.js";
import { caller, notify, useCell, useRead, useRevision } from "../store.js";
import { html, useEffect, useState } from "../ui.js";

export default function Explain({ query }) {
  const known = useCell(caller);
  const revision = useRevision();
  const [source, setSource] = useState(query.get("source") ?? "");
  const [port, setPort] = useState(query.get("port") ?? "");
  useEffect(() => { setSource(query.get("source") ?? ""); setPort(query.get("port") ?? ""); }, [query.toString()]);
  const services = useRead((signal) => get(["services"], {}, { signal }), [revision]);
  const asked = query.get("source");
  const read = useRead((signal) => asked ? get(["explain"], { source: asked, port: query.get("port") }, { signal }) : Promise.resolve(null), [query.toString(), revision]);
  const mine = own.get() || known?.operator?.address;
  const go = (event) => {
    event.preventDefault();
    const to = new URLSearchParams({ source: source.trim() });
    const number = portOf(port.trim(), services.data ?? []);
    if (number) to.set("port", number);
    location.hash = `#/explain?${to}`;
  };
  return html`<${Head} title="Explain" help="monitoring#explaining-a-verdict" sub="Whether a source may connect, which rule decides, and what the loaded program says." />
    <form class="card form ask" onSubmit=${go}>
      <${Field} label="Source address">${(id) => html`<input id=${id} required value=${source} placeholder="203.0.113.7" spellcheck="false" autocomplete="off" onInput=${(event) => setSource(event.currentTarget.value)} />`}<//>
      <${Field} label="Port or service">${(id) => html`<input id=${id} list="explain-ports" value=${port} placeholder="a port of no service" spellcheck="false" autocomplete="off" onInput=${(event) => setPort(event.currentTarget.value)} />
        <datalist id="explain-ports">${(services.data ?? []).map((service) => html`<option value=${service.name}>${service.ports}</option>`)}</datalist>`}<//>
      <div class="ask-buttons"><button type="submit" class="primary">Explain</button>
        ${mine && html`<button type="button" onClick=${() => setSource(mine)}>My address</button>`}</div>
    </form>
    <${Failure} error=${read.error} />
    ${!asked && html`<${Empty} title="Name a source."><p>The answer comes from the policies and from the program in the kernel, by a crafted SYN that is neither counted nor reported.</p></>`}
    ${read.data && html`<${Answer} view=${read.data} services=${services.data ?? []} again=${read.reload} />`}`;
}

/** A service's first port by its name; what is typed otherwise. */
function portOf(text, services) {
  const service = services.find((service) => service.name === text.toLowerCase());
  return service ? service.ports.split(/[,-]/)[0] : text;
}

function Answer({ view, services, again }) {
  const drop = view.verdict === "drop";
  const service = services.find((service) => service.name === view.scope);
  return html`<section class=${`verdict ${drop ? "bad" : view.verdict === "pass" ? "good" : "warn"}`} aria-live="polite">
      <div class="hero-mark"><${Icon} name=${drop ? "bans" : "check"} /></div>
      <div class="hero-text"><p class="hero-title">${{ drop: "Denied", pass: "May connect", unknown: "Not known" }[view.verdict]}: ${view.source}${view.port ? ` to port ${view.port}` : ""}</p>
      <p>${sentence(view.sentence)}</p></div>
    </section>
    <div class="grid two">
      <section class="card"><h2>What decides</h2><dl class="facts tall">
        <div><dt>Scope</dt><dd>${view.scope}</dd></div>
        <div><dt>Reason</dt><dd><${Pill} kind=${drop ? "bad" : "good"}>${view.reason}</></dd></div>
        ${view.matched && html`
          <div><dt>Policy</dt><dd><a href=${`#/policies/${encodeURIComponent(view.matched.policy)}`}>${view.matched.policy}</a>, ${view.matched.list} list${view.matched.named_list ? html`, <a href=${`#/lists/${encodeURIComponent(view.matched.named_list)}`}>@${view.matched.named_list}</a>` : ""}</dd></div>
          <div><dt>Rule</dt><dd><code>${view.matched.rule.text}</code> <span class="faint">${view.matched.rule.comment ?? ""}</span></dd></div>
          <div><dt>Place</dt><dd>${view.matched.rule.place ?? "–"}</dd></div>`}
        ${view.ban && html`<div><dt>Ban</dt><dd>${view.ban.source}${view.ban.reason ? `, ${view.ban.reason}` : ""}, until ${view.ban.until ? html`<${Time} at=${view.ban.until} />` : "it is ended"}</dd></div>`}
        <div><dt>Consulted</dt><dd>${view.consulted.join(", ") || "no policy"}</dd></div>
      </dl></section>
      <section class="card"><h2>The loaded program</h2><dl class="facts tall">
        <div><dt>Says</dt><dd>${view.kernel ? html`<${Pill} kind=${view.kernel.verdict === "drop" ? "bad" : "good"}>${view.kernel.verdict}</> ${view.kernel.reason}` : view.kernel_error ?? "–"}</dd></div>
        <div><dt>Agrees</dt><dd>${view.kernel ? (view.agrees ? html`<span class="good-text">yes</span>` : html`<strong class="bad-text">no: this is a fault</strong>`) : "not asked"}</dd></div>
        <div><dt>Interface</dt><dd>${view.interface ?? "any filtered one"}</dd></div>
        <div><dt>Enforced</dt><dd>${view.enforced ? "yes" : html`no; policies say ${view.policies.verdict}: ${view.policies.sentence}`}</dd></div>
      </dl></section>
    </div>
    ${!about?.read_only && html`<section class="card"><h2>Act on ${view.source}</h2><${Act} source=${view.source} scope=${view.scope} service=${service?.name ?? null} done=${again} /></section>`}`;
}

/** Ban, exempt, or allow. */
function Act({ source, scope, service, done }) {
  const [minutes, setMinutes] = useState("30");
  const policies = useRead((signal) => get(["policies"], {}, { signal }), []);
  const [policy, setPolicy] = useState("");
  // Those that govern where it arrives come first.
  const governs = (policy) => Number(policy.active && policy.bindings.includes(scope));
  const candidates = (policies.data ?? []).filter((policy) => policy.allow_count !== null && policy.allow_count !== undefined).sort((a, b) => governs(b) - governs(a));
  const chosen = policy || candidates[0]?.name;
  const run = async (work, text) => {
    try {
      const { data } = await work();
      const refused = Array.isArray(data) && data.find((line) => line.result === "refused");
      if (refused) notify(sentence(refused.detail), "bad");
      else notify(text, "good");
      done();
    } catch (error) {
      notify(sentence(error.message), "bad");
    }
  };
  const time = Number(minutes);
  return html`<div class="act">
    <${Field} label="For">${(id) => html`<select id=${id} value=${minutes} onChange=${(event) => setMinutes(event.currentTarget.value)}>
      <option value="30">30 minutes</option><option value="240">4 hours</option><option value="1440">a day</option><option value="10080">a week</option></select>`}<//>
    <button type="button" class="danger" onClick=${() => run(() => call("POST", ["bans"], { query: { from: own.get() }, lines: [{ source, for: time * 60, service, reason: "from the console" }] }), `${source} is banned.`)}>Ban</button>
    <button type="button" onClick=${() => run(() => call("POST", ["bypasses"], { body: { source, minutes: time, service } }), `${source} is exempt${service ? ` for ${service}` : ""}.`)}>Exempt (bypass)</button>
    ${candidates.length > 0 && html`<span class="act-allow"><label>Allow in <select value=${chosen} onChange=${(event) => setPolicy(event.currentTarget.value)}>${candidates.map((policy) => html`<option>${policy.name}</option>`)}</select></label>
      <button type="button" onClick=${() => propose({ title: `Allow ${source} in ${chosen}`, send: changing({ change: "alter-policy", name: chosen, allow: { edit: "edit", add: { items: [source] } } }), done })}>Allow</button></span>`}
    <p class="hint">Bans and bypasses are for ${scope === "host" || !service ? "the whole host" : `the service ${service}`} and end by themselves.</p>
  </div>`;
}
