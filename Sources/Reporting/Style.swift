/// The page's style sheet: one accent, light and dark, a phone's width, paper.
enum Style {
  static let sheet: HTML = """
    :root { color-scheme: light dark;
      --paper: #fbfaf7; --ink: #23221f; --quiet: #6d6a63; --rule: #dedbd2; --tint: #f1efe8;
      --accent: #a3401f; --on: #fff; }
    @media (prefers-color-scheme: dark) { :root {
      --paper: #191917; --ink: #e7e4dc; --quiet: #a09c92; --rule: #3a3934; --tint: #24231f;
      --accent: #ee8a63; --on: #191917; } }
    * { box-sizing: border-box; }
    html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
    body { margin: 0; background: var(--paper); color: var(--ink);
      font: 16px/1.55 Charter, "Bitstream Charter", "Iowan Old Style", Georgia, serif;
      font-variant-numeric: tabular-nums lining-nums; }
    main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
    h1 { font-size: 2.1rem; line-height: 1.15; font-weight: 600; margin: 0 0 .4rem;
      letter-spacing: -.01em; }
    h2 { font-size: 1.3rem; line-height: 1.3; font-weight: 600; margin: 3.6rem 0 .4rem;
      padding-top: 1rem; border-top: 1px solid var(--rule); }
    h3 { font-size: 1rem; font-weight: 600; margin: 1.8rem 0 .3rem; }
    p { margin: .5rem 0 1rem; max-width: 42rem; }
    .lead { font-size: 1.12rem; }
    .quiet, figcaption, caption { color: var(--quiet); font-size: .87rem; }
    .beware { border-left: 3px solid var(--accent); padding-left: .9rem; }
    ul { max-width: 42rem; padding-left: 1.2rem; }
    .wide { overflow-x: auto; margin: .6rem 0 1.4rem; }
    table { border-collapse: collapse; font-size: .92rem; line-height: 1.35; }
    caption { text-align: left; padding-bottom: .4rem; }
    th, td { padding: .32rem 0 .32rem 1.4rem; text-align: right; font-weight: 400;
      border-bottom: 1px solid var(--rule); vertical-align: baseline; white-space: nowrap; }
    th:first-child { text-align: left; padding-left: 0; }
    thead th { color: var(--quiet); font-size: .82rem; vertical-align: bottom; }
    tr.own th, tr.own td { color: var(--accent); font-weight: 600; }
    table.text th, table.text td { text-align: left; white-space: normal; }
    table.text td { min-width: 6.5rem; color: var(--quiet); vertical-align: top; }
    table.text th { vertical-align: top; }
    table.text td.plain, table.text td.right { color: var(--ink); }
    .error-figure { color: var(--quiet); font-size: .85em; font-weight: 400; }
    .charts { display: grid; gap: 1.4rem 2.6rem; margin: 1.2rem 0;
      grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
    .beside { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.4rem 2.6rem;
      margin: 1.2rem 0; }
    .beside > div, .charts > div { min-width: 0; }
    @media (min-width: 60rem) { .beside { grid-template-columns: max-content minmax(0, 1fr); } }
    .charts.three { grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
    figure { margin: 0; min-width: 0; }
    figcaption { margin-top: .4rem; max-width: 34rem; }
    svg { display: block; width: 100%; height: auto; overflow: visible;
      font: 11.5px/1 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
    svg text { fill: var(--ink); }
    svg .label { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
    svg .tick, svg .axis { fill: var(--quiet); }
    svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
    svg .grid { stroke: var(--rule); stroke-width: 1; }
    svg .level { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 4; }
    svg .curve { fill: none; stroke: var(--accent); stroke-width: 1.8; stroke-linejoin: round; }
    svg .cell { fill: var(--tint); } svg .heat { fill: var(--accent); }
    svg .value.on { fill: var(--on); }
    svg .error { stroke: var(--quiet); stroke-width: 2; } svg .error.own { stroke: var(--accent); }
    svg .dot { fill: var(--quiet); } svg .dot.own { fill: var(--accent); }
    svg .label.own { fill: var(--accent); font-weight: 600; }
    img { image-rendering: pixelated; display: block; border-radius: 3px; max-width: 100%; }
    .said { display: grid; grid-template-columns: 9rem minmax(0, 1fr); gap: .4rem 1.6rem;
      margin: 1.8rem 0; break-inside: avoid; }
    .said img { width: 9rem; height: auto; }
    .said p { margin: 0 0 .3rem; }
    .said .wide { margin: .4rem 0 0; }
    .pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr));
      gap: 0 1.6rem; }
    .said table { font-size: .84rem; }
    .said th, .said td { padding: .14rem 0 .14rem .8rem; text-align: left;
      border: 0; }
    .said th:first-child { padding-left: 0; }
    .said td { color: var(--quiet); }
    .said thead th { border-bottom: 1px solid var(--rule); color: var(--ink); }
    .hit { color: var(--accent); font-weight: 600; }
    .said td.hit { color: var(--accent); }
    .thumb { width: 4.5rem; min-width: 4.5rem; }
    details { margin: .3rem 0; } summary { cursor: pointer; }
    pre { font: 12px/1.45 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace;
      background: var(--tint); padding: .8rem 1rem; overflow-x: auto; border-radius: 4px; }
    footer { margin-top: 4rem; color: var(--quiet); font-size: .87rem; }
    @media (max-width: 34rem) {
      main { padding: 1.6rem 1rem 3rem; } h1 { font-size: 1.6rem; }
      h2 { margin-top: 2.4rem; }
      .said { grid-template-columns: minmax(0, 1fr); } .said img { width: 7rem; }
      th, td { padding-left: .7rem; } table { font-size: .87rem; }
      th:first-child { white-space: normal; } .said th:first-child { white-space: nowrap; } }
    @media print {
      :root { --paper: #fff; --ink: #000; --quiet: #555; --rule: #ccc; --tint: #f2f2f2;
        --accent: #a3401f; --on: #fff; }
      body { font-size: 10.5pt; } main { max-width: none; padding: 0; }
      .charts { grid-template-columns: 1fr 1fr; }
      .charts.three { grid-template-columns: 1fr 1fr 1fr; }
      figure, tr, .said, .wide { break-inside: avoid; } h2, h3 { break-after: avoid; }
      .wide { overflow: visible; } th, td { white-space: normal; padding-left: .6rem; } }

    """
}
