// Icons of 20 by 20, drawn with the text's colour.
import { html } from "./ui.js";

const PATHS = {
  overview: "M3 3h6v7H3zM11 3h6v4h-6zM11 9h6v8h-6zM3 12h6v5H3z",
  policies: "M10 2.5 4 5v4.500c0 3.8 2.5 6.3 6 7.5 3.5-1.2 6-3.7 6-7.500V5z",
  explain: "M8.5 3a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM12.6 12.6 17 17",
  live: "M2 10h3.500l2.5-6 4 12 2.5-6H18",
  sources: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM3 10h14M10 3c2.5 2 3 4.500 3 7s-.5 5-3 7c-2.500-2-3-4.500-3-7s.5-5 3-7z",
  checks: "M5 4h10v13H5zM8 2.500h4V5.500H8zM7.5 11l2 2 3.500-4",
  fleet: "M7.5 3h5v4h-5zM2.5 13h5v4h-5zM12.5 13h5v4h-5zM10 7v3M5 13v-3h10v3",
  services: "M3 4h14v5H3zM3 11h14v5H3zM6 6.500h.01M6 13.500h.01",
  lists: "M7 5h10M7 10h10M7 15h10M3.5 5h.01M3.5 10h.01M3.5 15h.01",
  bans: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM5 5l10 10",
  history: "M3.5 10a6.5 6.5 0 1 0 2-4.700M3 3v3.500h3.500M10 6.500V10l2.5 2",
  audit: "M5 2.500h7l3.5 3.500v11.500H5zM12 2.500V6h3.500M7.5 10h5M7.5 13h5",
  grants: "M7 9.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 16.500c0-3 2-4.5 5-4.500s5 1.5 5 4.500M14 6v6M11.5 9h5",
  sql: "M3 5.500C3 4 6 3 10 3s7 1 7 2.500S14 8 10 8 3 7 3 5.500zM3 5.500v9C3 16 6 17 10 17s7-1 7-2.500v-9M3 10c0 1.5 3 2.5 7 2.500s7-1 7-2.5",
  help: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM8 8a2 2 0 1 1 2.8 1.900c-.6.3-.8.7-.8 1.300M10 13.800h.01",
  menu: "M3 5.500h14M3 10h14M3 14.500h14",
  close: "M5 5l10 10M15 5 5 15",
  plus: "M10 4v12M4 10h12",
  check: "m4 10.5 4 4 8-9",
  warn: "M10 3 2.5 16.500h15zM10 8v4M10 14.300h.01",
  pause: "M7 4.500v11M13 4.500v11",
  play: "M6 4l10 6-10 6z",
  sun: "M10 6.500a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 1.500v2M10 16.500v2M1.5 10h2M16.5 10h2M4 4l1.4 1.400M14.6 14.6 16 16M16 4l-1.4 1.400M5.4 14.6 4 16",
  clock: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6v4l2.5 2",
  right: "m8 5 5 5-5 5",
};

/** @param {{name: keyof typeof PATHS}} props */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
}
