//! How a page looks: light, dark, and on paper.

/// Without `<`, `>` and `&`, which would have to be escaped.
pub(super) const CSS: &str = r#":root {
  --paper: #fbfbfa; --card: #ffffff; --ink: #1d2429; --quiet: #5c6870; --rule: #dfe3e6; --grid: #e8ebed;
  --accent: #2b6f8a; --after: #c9822b; --denied: #a8434b; --glass: #7a4fa3; --empty: #eef1f2; --alarm: #fbeaea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14191c; --card: #1b2226; --ink: #e3e8ea; --quiet: #9aa6ad; --rule: #303a40; --grid: #283036;
    --accent: #62aac7; --after: #dfa057; --denied: #dc7d84; --glass: #b894de; --empty: #232b30; --alarm: #3b2226;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header { border-bottom: 1px solid var(--rule); padding-bottom: 1.25rem; margin-bottom: 1.75rem; }
h1 { font-size: 1.9rem; line-height: 1.2; font-weight: 600; letter-spacing: -0.01em; margin: 0 0 0.4rem; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 0 0 0.2rem; }
p { margin: 0.2rem 0; max-width: 44rem; }
.period { font-size: 1.1rem; font-variant-numeric: tabular-nums; }
.quiet, .none { color: var(--quiet); font-size: 0.9rem; }
.alarm { background: var(--alarm); border-left: 4px solid var(--denied); padding: 0.6rem 0.8rem; margin-top: 0.8rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 0.75rem; margin: 0 0 2rem; }
.figures div { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: 0.8rem 1rem; }
.figures dt { color: var(--quiet); font-size: 0.85rem; }
.figures dd { margin: 0; }
.figures .value { font-size: 1.7rem; line-height: 1.25; font-weight: 600; font-variant-numeric: tabular-nums; }
.figures .quiet { font-size: 0.82rem; }
section, details { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: 1.1rem 1.25rem 1.25rem;
  margin: 0 0 1.25rem; }
.chart, .scroll { overflow-x: auto; }
.chart { margin-top: 0.9rem; }
svg { display: block; width: 100%; min-width: 36rem; height: auto; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: var(--quiet);
  font-variant-numeric: tabular-nums; }
svg .name, svg .value { fill: var(--ink); }
.middle { text-anchor: middle; }
.end { text-anchor: end; }
.grid { stroke: var(--grid); stroke-width: 1; }
.base { stroke: var(--quiet); stroke-width: 1; }
.within { fill: var(--accent); }
.after { fill: var(--after); }
.denied { fill: var(--denied); }
.glass { fill: var(--glass); }
.heat { fill: var(--accent); rx: 3px; }
.heat.s0 { fill: var(--empty); }
.heat.s1 { fill-opacity: 0.16; }
.heat.s2 { fill-opacity: 0.32; }
.heat.s3 { fill-opacity: 0.48; }
.heat.s4 { fill-opacity: 0.64; }
.heat.s5 { fill-opacity: 0.82; }
.frame { fill: none; stroke: var(--after); stroke-width: 1.5; }
table { border-collapse: collapse; width: 100%; margin-top: 0.7rem; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); font-size: 0.85rem; padding-bottom: 0.35rem; }
section caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: 0.38rem 0.9rem 0.38rem 0; border-bottom: 1px solid var(--grid); font-weight: 400; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--quiet); border-bottom: 1px solid var(--rule); font-size: 0.85rem; }
tbody tr:last-child th, tbody tr:last-child td { border-bottom: 0; }
.t { text-align: left; }
.n { text-align: right; white-space: nowrap; }
summary { cursor: pointer; font-weight: 600; }
footer { margin-top: 2rem; }
@media (max-width: 40rem) {
  main { padding: 1.5rem 0.8rem 3rem; }
  h1 { font-size: 1.5rem; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.5rem; }
  .figures div { padding: 0.6rem 0.7rem; }
  .figures .value { font-size: 1.35rem; }
  section, details { padding: 0.9rem; }
}
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --quiet: #444; --rule: #bbb; --grid: #ddd; --accent: #2b6f8a;
    --after: #c9822b; --denied: #a8434b; --glass: #7a4fa3; --empty: #f2f2f2; --alarm: #fff; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  section, .figures div { break-inside: avoid; }
  .figures { grid-template-columns: repeat(4, 1fr); }
  .chart, .scroll { overflow: visible; }
  svg { min-width: 0; }
  svg, .figures div { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details { break-before: page; }
}
"#;
