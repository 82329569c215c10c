// @ts-check
// Explain: source or network, and service in; verdict and rule out.
import { Act } from "../act.js";
import { about, get, own } from "../api.js";
import { Icon } from "../icons.js";
import { count } from "../format.js";
import { Empty, Failure, Field, Head, Loading, Pill, Table, Time, sentence } from "../parts.js";
import { caller, status, useCell, useRead, useRevision } from "../store.js";
import { html, useEffect, useState } from "../ui.js";

export default function Explain({ query }) {
  const known = useCell(caller);
  const revision = useRevision();
  const [source, setSource] = useState(query.get("source") ?? "");
  const [port, setPort] = useState(query.get("port") ?? "");
  const [past, setPast] = useState(query.get("revision") ?? "");
  const [nic, setNic] = useState(query.get("interface") ?? "");
  useEffect(() => { setSource(query.get("source") ?? ""); setPort(query.get("port") ?? ""); setPast(query.get("revision") ?? ""); setNic(query.get("interface") ?? ""); }, [query.toString()]);
  const nics = (useCell(status).data?.enforcement?.interfaces ?? []).map((nic) => nic.name);
  const services = useRead((signal) => get(["services"], {}, { signal }), [revision]);
  const asked = query.get("source");
  const read = useRead(async (signal) => {
    if (!asked) return null;
    const named = query.get("port") ?? "";
    const port = !named || /^\d+$/.test(named) ? named : portOf(named, await get(["services"], {}, { signal }));
    const how = { port, revision: query.get("revision") };
    const isNetwork = asked.includes("/");
    const view = await (isNetwork ? get(["explain", "network"], { network: asked, ...how, limit: 500 }, { signal }) : get(["explain"], { source: asked, ...how, interface: query.get("interface") }, { signal }));
    return { isNetwork, view };
  }, [query.toString(), revision]);
  const mine = own.get() || known?.operator?.address;
  const go = (event) => {
    event.preventDefault();
    const to = new URLSearchParams({ source: source.trim() });
    const number = portOf(port.trim(), services.data ?? []);
    if (number) to.set("port", number);
    if (past.trim()) to.set("revision", past.trim());
    if (nic && !source.includes("/")) to.set("interface", nic);
    location.hash = `#/explain?${to}`;
  };
  return html`<${Head} title="Explain" help="monitoring#explaining-a-verdict" sub="Whether a source or the sources of a network may connect, which rule decides, and what the loaded program says." />
    <form class="card form ask" onSubmit=${go}>
      <${Field} label="Source address or network">${(id) => html`<input id=${id} required value=${source} placeholder="203.0.113.7 or 203.0.113.0/24" spellcheck="false" autocomplete="off" onInput=${(event) => setSource(event.currentTarget.value)} />`}<//>
      <${Field} label="Port or service">${(id) => html`<input id=${id} list="explain-ports" value=${port} placeholder="a port of no service" spellcheck="false" autocomplete="off" onInput=${(event) => setPort(event.currentTarget.value)} />
        <datalist id="explain-ports">${(services.data ?? []).map((service) => html`<option value=${service.name}>${service.ports}</option>`)}</datalist>`}<//>
      <${Field} label="At revision">${(id) => html`<input id=${id} type="number" min="1" value=${past} placeholder="present" onInput=${(event) => setPast(event.currentTarget.value)} />`}<//>
      ${nics.length > 1 && html`<${Field} label="Arrives on">${(id) => html`<select id=${id} value=${nic} onChange=${(event) => setNic(event.currentTarget.value)}><option value="">the route's interface</option>${nics.map((name) => html`<option>${name}</option>`)}</select>`}<//>`}
      <div class="ask-buttons"><button type="submit" class="primary">Explain</button>
        ${mine && html`<button type="button" onClick=${() => setSource(mine)}>My address</button>`}</div>
    </form>
    <${Failure} error=${read.error} />${asked && html`<${Loading} of=${read} />`}
    ${!asked && html`<${Empty} title="Name a source."><p>The answer comes from the policies and from the program in the kernel, by a crafted SYN that is neither counted nor reported.</p></>`}
    ${asked && read.data && (read.data.isNetwork ? html`<${Network} view=${read.data.view} services=${services.data ?? []} again=${read.reload} />` : html`<${Answer} view=${read.data.view} services=${services.data ?? []} again=${read.reload} />`)}`;
}

/** The parts of a network that are judged alike. */
function Network({ view, services, again }) {
  const service = services.find((service) => service.name === view.scope);
  const verdicts = new Set(view.parts.map((part) => part.verdict));
  const all = verdicts.size === 1 && !view.more ? [...verdicts][0] : null;
  const kind = all === "drop" ? "bad" : all === "pass" ? "good" : "warn";
  const title = all === "drop" ? "All of it is denied" : all === "pass" ? "All of it may connect" : "Parts of it are judged differently";
  return html`<section class=${`verdict ${kind}`} aria-live="polite">
      <div class="hero-mark"><${Icon} name=${all === "drop" ? "bans" : all === "pass" ? "check" : "warn"} /></div>
      <div class="hero-text"><p class="hero-title">${title}: ${view.network}${view.port ? ` to port ${view.port}` : ""}</p>
      <p>${view.uniform ? sentence(view.parts[0].sentence) : `${count(view.parts.length, "part")}${view.more ? ", of more" : ""}, in the scope ${view.scope}`}${view.revision ? `, by the policies of revision ${view.revision}` : ""}.</p></div></section>
    <${Table} label="Parts" columns=${[{ name: "From" }, { name: "To" }, { name: "Verdict" }, { name: "Why" }, { name: "Rule" }]}
      rows=${view.parts.map((part) => ({ key: part.first, cells: [html`<a href=${`#/explain?${new URLSearchParams({ source: part.first, ...(view.port ? { port: String(view.port) } : {}), ...(view.revision ? { revision: String(view.revision) } : {}) })}`}><code>${part.first}</code></a>`, html`<code>${part.last}</code>`,
        html`<${Pill} kind=${part.verdict === "drop" ? "bad" : "good"}>${part.verdict === "drop" ? "denied" : "passes"}</>`, html`${sentence(part.sentence)}<span class="under">${part.reason}</span>`,
        part.matched ? html`<code>${part.matched.rule.text}</code> <a href=${`#/policies/${encodeURIComponent(part.matched.policy)}`}>${part.matched.policy}</a>` : part.ban ? html`ban of <code>${part.ban.source}</code>` : ""] }))} />
    ${view.more && html`<p class="faint">More parts follow: ask for a smaller network.</p>`}
    <p class="faint">These are the policies', bans' and bypasses' answers; the loaded program answers for single addresses.</p>
    ${!about?.read_only && !view.revision && html`<section class="card"><h2>Act on ${view.network}</h2><${Act} source=${view.network} scope=${view.scope} service=${service?.name ?? null} done=${again} /></section>`}`;
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
      <div class="hero-text"><p class="hero-title">${{ drop: "Denied", pass: "May connect", unknown: "Not known" }[view.verdict]}: ${view.source}${view.port ? ` to port ${view.port}` : ""}${view.revision ? `, by the policies of revision ${view.revision}` : ""}</p>
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
        ${(view.excepted ?? []).map((one) => html`<div><dt>Excepted</dt><dd><code>${one.block.rule.text}</code> of ${one.block.policy} blocks it, and its exception <code>${one.exception.rule.text}</code> takes it out</dd></div>`)}
        <div><dt>Consulted</dt><dd>${view.consulted.join(", ") || "no policy"}</dd></div>
      </dl></section>
      <section class="card"><h2>The loaded program</h2><dl class="facts tall">
        <div><dt>Says</dt><dd>${view.kernel ? html`<${Pill} kind=${view.kernel.verdict === "drop" ? "bad" : "good"}>${view.kernel.verdict}</> ${view.kernel.reason}` : view.kernel_error ?? "–"}</dd></div>
        <div><dt>Agrees</dt><dd>${view.kernel ? (view.agrees ? html`<span class="good-text">yes</span>` : html`<strong class="bad-text">no: this is a fault</strong>`) : "not asked"}</dd></div>
        <div><dt>Interface</dt><dd>${view.interface ?? "any filtered one"}</dd></div>
        <div><dt>Enforced</dt><dd>${view.enforced ? "yes" : html`no; policies say ${view.policies.verdict}: ${view.policies.sentence}`}</dd></div>
      </dl></section>
    </div>
    ${!about?.read_only && !view.revision && html`<section class="card"><h2>Act on ${view.source}</h2><${Act} source=${view.source} scope=${view.scope} service=${service?.name ?? null} done=${again} /></section>`}`;
}
