import Artifacts

extension Report {
  var costSection: Section? {
    guard !costs.isEmpty else { return nil }
    let seconds = costs.reduce(0) { $0 + $1.seconds }
    let longest = costs.map(\.seconds).max() ?? 0
    var rows: [HTML] = costs.map { cost in
      let share = longest > 0 ? 100 * cost.seconds / longest : 0
      return """
        <tr><th scope="row">\(cost.name)</th><td class="text spare">\(cost.program)</td>\
        <td>\(Format.duration(cost.seconds))</td>\
        <td class="bar"><i style="width:\(Format.fixed(share, 1))%"></i></td>\
        <td>\(Format.bytes(cost.peak))</td><td class="spare">\(cost.read.map(Format.bytes) ?? "")</td>\
        <td class="spare">\(Format.bytes(cost.written))</td>\
        <td class="spare">\(cost.records > 0 ? Format.count(cost.records) : "")</td></tr>

        """
    }
    rows.append(
      """
      <tr class="total"><th scope="row">all</th><td class="spare"></td><td>\(Format.duration(seconds))</td>\
      <td></td><td></td><td class="spare"></td>\
      <td class="spare">\(Format.bytes(costs.reduce(0) { $0 &+ $1.written }))</td><td class="spare"></td></tr>

      """)
    return Section(
      name: "cost", short: "Cost", title: "What it cost",
      body: """
        <div class="wide"><table class="costs"><thead><tr><th scope="col">artifact</th>\
        <th scope="col" class="text spare">stage</th><th scope="col">time</th><td class="bar"></td>\
        <th scope="col">peak memory</th><th scope="col" class="spare">read</th><th scope="col" class="spare">written</th>\
        <th scope="col" class="spare">records</th></tr></thead>
        <tbody>\(rows)</tbody></table></div>
        <p class="note">From the manifests\(threads). Times add up over stages, also over those \
        that ran side by side; a stage that was continued counts its last run alone. Peak memory is \
        without mapped files. Read: the size of the artifacts and checkpoints that the stage took \
        in.\(linked)</p>

        """)
  }

  private var linked: String {
    let count = run.artifacts.count { $0.manifest.facts["linked_from"] != nil }
    return count == 0
      ? ""
      : " \(count) of them are linked from other runs, which took the time that stands here."
  }

  private var threads: String {
    let counts = Set(run.artifacts.map(\.manifest.threads)).sorted().map(String.init)
    guard let last = counts.last else { return "" }
    return counts.count == 1 && last == "1"
      ? "; one thread a stage" : "; \(counts.joined(separator: " or ")) threads a stage"
  }
}

/// What one stage took.
struct Cost: Sendable {
  var name: String
  var program: String
  var seconds: Double
  var peak: Int
  /// Bytes of its inputs, as far as they are known; nil where none is.
  var read: Int?
  var written: Int
  var records: Int

  /// One for each artifact, those of several seeds together.
  static func all(_ run: Run) -> [Cost] {
    let sizes = Dictionary(
      run.artifacts.map { ($0.manifest.content, $0.manifest.bytes) },
      uniquingKeysWith: { first, _ in first })
    var costs: [Cost] = []
    for artifact in run.artifacts where !artifact.name.hasPrefix("evaluation/") {
      costs.append(Cost(artifact.name, [artifact.manifest], sizes))
    }
    for contender in run.contenders {
      let manifests = run.evaluations(of: contender).map(\.artifact.manifest)
      if manifests.isEmpty { continue }
      let seeds = manifests.count > 1 ? ", \(manifests.count) seeds" : ""
      costs.append(Cost(contender.evaluation + seeds, manifests, sizes))
    }
    return costs
  }

  private init(_ name: String, _ manifests: [Manifest], _ sizes: [String: Int]) {
    self.name = name
    program = manifests.first?.program.replacing("vlsi-", with: "") ?? ""
    seconds = manifests.reduce(0) { $0 + $1.wallSeconds }
    peak = manifests.map(\.peakBytes).max() ?? 0
    let inputs = manifests.map { Cost.inputs($0, sizes) }
    read = inputs.contains { $0 != nil } ? inputs.reduce(0) { $0 &+ ($1 ?? 0) } : nil
    written = manifests.reduce(0) { $0 &+ $1.bytes }
    records = manifests.reduce(0) { $0 &+ $1.records }
  }

  /// The artifacts whose fingerprints the manifest records, and the checkpoints that it names.
  private static func inputs(_ manifest: Manifest, _ sizes: [String: Int]) -> Int? {
    var found = manifest.inputs.values.compactMap { sizes[$0] }
    for key in ["model", "base", "teacher", "student"] {
      guard let folder = manifest.facts[key]?.asString,
        let files = try? Files.list(folder).filter({ $0.hasSuffix(".safetensors") })
      else { continue }
      found += files.compactMap { Files.size(Files.join(folder, $0)) }
    }
    return found.isEmpty ? nil : found.reduce(0, &+)
  }
}
