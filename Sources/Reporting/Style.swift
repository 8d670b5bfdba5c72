/// The page's style sheet: one colour a model, light and dark, a phone's width, paper.
///
/// The five colours were searched for: seen with each kind of colour blindness (Machado, Oliveira,
/// Fernandes 2009, full severity) any two differ by at least 21 in CIE Lab, and each has a contrast
/// of at least 4.5 with its paper.
enum Style {
  static let sheet: HTML = """
    :root { color-scheme: light dark;
      --paper: #fbfaf7; --ink: #23221f; --quiet: #68655e; --rule: #dedbd2; --tint: #f1efe8;
      --warn: #fbeadb; --teacher: #23221f; --student: #942e82; --sft: #1740be;
      --last-layer: #1e7c5a; --model: #ba4516; --other: #68655e; --on: #fff; }
    @media (prefers-color-scheme: dark) { :root {
      --paper: #191917; --ink: #e7e4dc; --quiet: #a39f95; --rule: #3a3934; --tint: #24231f;
      --warn: #46301f; --teacher: #e7e4dc; --student: #c36cda; --sft: #91c0e0;
      --last-layer: #2fd187; --model: #f0642e; --other: #a39f95; --on: #191917; } }
    * { box-sizing: border-box; }
    html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
    body { margin: 0 auto; max-width: 65rem; padding: 3rem 1.5rem 4rem; background: var(--paper);
      color: var(--ink); font: 17px/1.55 Charter, "Bitstream Charter", "Iowan Old Style",
      "Source Serif 4", Georgia, "Noto Serif", "Liberation Serif", serif; }
    table, figcaption, .note, .facts, nav, .kicker, .who, .said p, h3, caption, footer, svg {
      font-family: -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans",
      sans-serif; }
    table, svg { font-variant-numeric: tabular-nums lining-nums; }
    .kicker { color: var(--quiet); font-size: .8rem; letter-spacing: .02em; }
    h1 { font-size: 2.4rem; line-height: 1.12; font-weight: 600; margin: .2rem 0 1.2rem;
      letter-spacing: -.015em; overflow-wrap: anywhere; }
    h2 { font-size: 1.5rem; line-height: 1.25; font-weight: 600; margin: 3.4rem 0 .5rem;
      padding-top: 1.1rem; border-top: 1px solid var(--rule); letter-spacing: -.01em; }
    h3 { font-size: .95rem; font-weight: 600; margin: 2rem 0 .4rem; }
    p { margin: .5rem 0 1rem; max-width: 43rem; }
    .lead { font-size: 1.2rem; line-height: 1.45; margin: .2rem 0; }
    .finding { font-weight: 600; }
    .quiet { color: var(--quiet); }
    .note, figcaption, caption, footer { color: var(--quiet); font-size: .82rem;
      line-height: 1.5; }
    .beware { margin: 1.2rem 0; border-left: 3px solid var(--model); padding-left: .9rem; }
    .beware ul { padding-left: 1.2rem; margin: 0; overflow-wrap: anywhere; }
    .facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr));
      gap: .7rem 1.6rem; margin: 1.6rem 0; padding: 1rem 0; font-size: .85rem;
      border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
    .facts dt { color: var(--quiet); } .facts dd { margin: 0; }
    nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0;
      margin: 0; font-size: .85rem; }
    a { color: inherit; text-decoration: underline; text-decoration-color: var(--rule);
      text-underline-offset: .2em; } a:hover { text-decoration-color: currentColor; }
    .tone-teacher { --c: var(--teacher); } .tone-student { --c: var(--student); }
    .tone-sft { --c: var(--sft); } .tone-last-layer { --c: var(--last-layer); }
    .tone-model { --c: var(--model); } .tone-other { --c: var(--other); }
    .key { display: inline-block; width: .6em; height: .6em; border-radius: 50%;
      background: var(--c); margin-right: .4em; }
    .wide { overflow-x: auto; margin: .6rem 0 1rem; }
    table { border-collapse: collapse; font-size: .85rem; line-height: 1.35; }
    caption { text-align: left; padding-bottom: .3rem; white-space: normal; }
    th, td { padding: .36rem 0 .36rem 1.3rem; text-align: right; font-weight: 400;
      border-bottom: 1px solid var(--rule); vertical-align: middle; white-space: nowrap; }
    th:first-child, th.text, td.text { text-align: left; } th:first-child { padding-left: 0; }
    thead th { color: var(--quiet); font-size: .78rem; vertical-align: bottom; }
    tr.own th, tr.own td, td.hit { color: var(--model); font-weight: 600; }
    .error-figure { color: var(--quiet); font-size: .88em; font-weight: 400; }
    th.plot, td.plot { padding: 0 0 0 1.3rem; width: 14rem; }
    .plot svg { width: 12.5rem; height: 30px; } th.plot svg { margin-bottom: .1rem; }
    th.paper, td.paper { color: var(--quiet); font-weight: 400; padding-left: .9rem; }
    .scores, .tasks, .costs, .answers { width: 100%; }
    .bar { width: 9rem; } td.bar { padding-right: 0; text-align: left; }
    td.bar i { display: block; height: .55rem; background: var(--quiet); border-radius: 1px;
      min-width: 1px; }
    .total th, .total td { font-weight: 600; border-bottom: 0; }
    .charts { display: grid; gap: 1.6rem 2.6rem; margin: 1.2rem 0; align-items: start;
      grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
    .charts > * { min-width: 0; } .charts > div > .wide { margin: 0; }
    .charts.three { grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
    figure { margin: 0; min-width: 0; max-width: 30rem; }
    figcaption { margin-top: .4rem; } figcaption b { color: var(--ink); font-weight: 600; }
    img { image-rendering: auto; display: block; border-radius: 3px; max-width: 100%; }
    .said { display: grid; grid-template-columns: 8rem minmax(0, 1fr); gap: .4rem 1.6rem;
      margin: 1.8rem 0 2.2rem; break-inside: avoid; }
    .said > :only-child { grid-column: 1 / -1; }
    .said img { width: 8rem; height: auto; }
    .said p { margin: 0 0 .5rem; font-size: .95rem; } .said .wide { margin: 0; }
    .said p .quiet { font-size: .82rem; margin-left: .5em; }
    .pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr));
      gap: .8rem 1.6rem; align-items: start; }
    .column { display: grid; grid-template-columns: minmax(0, 1fr); gap: .8rem; }
    .words { font-size: .8rem; }
    .words th, .words td { padding: .16rem .35rem; text-align: left; border: 0; }
    .words th:first-child { padding-left: 0; padding-right: .8rem; }
    .words thead th { color: var(--ink); font-size: .8rem; border-bottom: 1px solid var(--rule); }
    .words thead th:first-child, .words tbody th { color: var(--quiet); }
    .words .group th { color: var(--ink); padding-top: .45rem; }
    .words td { color: var(--quiet); }
    .differs, .words td.differs { color: var(--ink); background: var(--warn); font-weight: 600;
      border-radius: 3px; padding-left: .35rem; padding-right: .35rem; }
    .answers th, .answers td { text-align: left; white-space: normal; vertical-align: top;
      overflow-wrap: anywhere; min-width: 5.5rem; }
    .answers tbody th { min-width: 8rem; padding-left: 1.3rem; }
    .answers td:first-child { padding-left: 0; min-width: 0; }
    .wrong { color: var(--quiet); } .right .mark { font-weight: 700; }
    .own-words { font-size: .84rem; }
    .own-words th, .own-words td { text-align: left; white-space: normal; vertical-align: top;
      border: 0; padding: .2rem 0 .2rem .9rem; }
    .own-words th { padding-left: 0; white-space: nowrap; }
    .own-words thead th { color: var(--ink); font-size: .8rem; border-bottom: 1px solid var(--rule); }
    .own-words tbody th { color: var(--quiet); }
    .who { display: none; color: var(--quiet); font-size: .78rem; }
    .thumb { width: 4.6rem; min-width: 4.6rem; }
    .below { color: var(--quiet); margin-right: .15em; }
    .prose th, .prose td { white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
    details { margin: .4rem 0; } .more { margin: 1.2rem 0; }
    .more > summary { font: .88rem/1.5 -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
      "Liberation Sans", sans-serif; color: var(--quiet); }
    summary { cursor: pointer; overflow-wrap: anywhere; }
    pre { font: 12px/1.45 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace;
      background: var(--tint); padding: .8rem 1rem; overflow-x: auto; border-radius: 4px; }
    footer { margin-top: 4rem; border-top: 1px solid var(--rule); padding-top: .8rem; }

    """

  static let charts: HTML = """
    svg { display: block; width: 100%; height: auto; overflow: visible; font-size: 11.5px; }
    svg text { fill: var(--ink); }
    svg .label { fill: var(--c, var(--ink)); paint-order: stroke; stroke: var(--paper);
      stroke-width: 4px; }
    svg .tick, svg .axis { fill: var(--quiet); }
    svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
    svg .grid { stroke: var(--rule); stroke-width: 1; }
    svg .level { stroke: var(--c, var(--quiet)); stroke-width: 1.2; stroke-dasharray: 1.5 3.5; }
    svg .curve { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; }
    svg .cell { fill: var(--tint); } svg .heat { fill: var(--model); }
    svg .value { pointer-events: none; } svg .value.on { fill: var(--on); }
    svg .error { stroke: var(--c); stroke-width: 2; } svg .dot { fill: var(--c); }
    svg .seed { fill: var(--c); opacity: .6; }
    svg circle.dot { stroke: var(--paper); stroke-width: 1; }
    @media (max-width: 34rem) {
      body { padding: 1.6rem 1rem 3rem; font-size: 16px; } h1 { font-size: 1.8rem; }
      h2 { font-size: 1.3rem; margin-top: 2.6rem; } .lead { font-size: 1.08rem; }
      .facts { grid-template-columns: minmax(0, 1fr); gap: .5rem; }
      th, td { padding-left: .7rem; } th:first-child { white-space: normal; padding-left: 0; }
      .spare { display: none; } .charts svg { font-size: 12.8px; }
      .tasks { font-size: .78rem; } .tasks th + th, .tasks td { padding-left: .45rem; }
      .tasks thead th { font-size: .72rem; white-space: normal; }
      .words th, .words td { padding: .16rem .25rem; }
      .scores th:first-child { max-width: 7.5rem; }
      .scores .plot, .tasks .plot { display: none; } .bar { width: 4.5rem; }
      .costs th:first-child { overflow-wrap: anywhere; }
      .said { grid-template-columns: minmax(0, 1fr); } .said img { width: 6.5rem; }
      .words th:first-child { white-space: nowrap; }
      .answers, .answers tbody, .answers tr, .answers td, .answers th { display: block; }
      .answers thead { display: none; }
      .answers tr { padding: .8rem 0; border-bottom: 1px solid var(--rule); }
      .answers th, .answers td, .answers tbody th { border: 0; padding: .15rem 0; min-width: 0; }
      .answers td:has(.who) { display: grid; grid-template-columns: 7rem minmax(0, 1fr); }
      .who { display: block; } .answers tbody th { padding: .3rem 0; font-weight: 600; }
      .answers th .quiet { font-weight: 400; } }
    @media print {
      :root { --paper: #fff; --ink: #000; --quiet: #555; --rule: #ccc; --tint: #f2f2f2;
        --warn: #f6e2d2; --teacher: #000; --student: #942e82; --sft: #1740be;
        --last-layer: #1e7c5a; --model: #ba4516; --other: #555; --on: #fff; }
      @page { margin: 16mm 15mm; }
      * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
      body { font-size: 10pt; max-width: none; padding: 0; } nav { display: none; }
      details:not([open])::details-content { content-visibility: visible; block-size: auto; }
      .more > summary { display: none; }
      h1 { font-size: 22pt; } h2 { font-size: 14pt; margin-top: 1.6rem; }
      .charts { grid-template-columns: 1fr 1fr; gap: 1rem 1.6rem; }
      .charts.three { grid-template-columns: 1fr 1fr 1fr; }
      figure, tr, .said, .charts { break-inside: avoid; } h2, h3, h2 + p { break-after: avoid; }
      .wide { overflow: visible; } th, td { padding-left: .7rem; }
      .plot svg { width: 9rem; height: auto; } th.plot, td.plot { width: 9.5rem; padding-left: .7rem; }
      .answers th, .answers td { min-width: 0; } .bar { width: 4rem; }
      .pair { grid-template-columns: 1fr 1fr; } }

    """
}
