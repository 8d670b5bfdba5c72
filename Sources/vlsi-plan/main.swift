import ArgumentParser
import Artifacts
import Checkpoints
import Failures
import Foundation
import Kernels
import Planning
import StageKit
import Training

/// What a run will read, write, hold in memory and take in time, before hours are spent; and what of
/// its preset each stage depends on.
struct PlanCommand: StageCommand {
  static let name = "vlsi-plan"
  static let abstract = "Says what a run will take, or checks that it can start."
  static let example = """
    vlsi-prepare --spread 256 --dataset data.json --model 2b --output survey
      vlsi-plan --preset pipeline/2b.yaml --teacher 7b --student 2b --samples survey --run runs/2b
    """

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @Option(help: "The teacher's checkpoint.")
  var teacher: String?
  @Option(help: "The student's checkpoint.")
  var student: String?
  @Option(help: "Samples of the data set, as vlsi-prepare --spread makes them.")
  var samples: String?
  @Option(help: "The same for a teacher of another family, prepared by its own processor.")
  var teacherSamples: String?
  @Option(help: "The run's folder: its disk must have room.")
  var run: String?
  @Flag(help: "Only check preset, checkpoints, data, memory and disk; rehearse nothing.")
  var check = false
  @Flag(help: "Only check that the inputs that are named fit together, and say nothing if so.")
  var inputs = false
  @Option(help: "With --inputs: a benchmark to be read too.")
  var benchmark: String?
  @Option(help: "With --inputs: where the benchmark's pictures lie (default: its folder).")
  var images: String?
  @Option(
    help: ArgumentHelp(
      "Only write into this folder what Make follows of the preset, and name the files that changed. "
        + "\(PresetSlices.inputs.joined(separator: ", ")) are read from the environment.",
      valueName: "dir"))
  var slices: String?
  @Option(
    help: ArgumentHelp(
      "With --slices: one more preset; its files' names begin with NAME and a point.",
      valueName: "name=file"))
  var variant: [String] = []
  @Flag(help: "With --slices: leave the seed out.")
  var seedless = false
  @Option(
    help: ArgumentHelp(
      "Only write a preset that extends --preset by what --set says.", valueName: "file"))
  var write: String?
  @Option(
    help: ArgumentHelp(
      "With run.budget_hours in the preset: writes how many entries of the data set fit into them.",
      valueName: "file"))
  var budget: String?
  @Option(help: "Plan for so many machines too, each of --cores.")
  var nodes: Int?
  @Option(help: "Cores of each of these machines (default: this one's).")
  var cores: Int?
  @Option(
    help: ArgumentHelp(
      "What each of them sends and receives at a time (default: 1.25, ten gigabits).",
      valueName: "GB/s"))
  var network: Double?
  @Option(help: "How the plan is printed.")
  var format = Format.text
  @OptionGroup var common: PlanOptions

  func validate() throws {
    if slices == nil, seedless || !variant.isEmpty {
      throw ValidationError("--variant and --seedless go with --slices.")
    }
    for (name, value) in [("nodes", nodes), ("cores", cores)] {
      if let value, !(1...1_000_000).contains(value) {
        throw ValidationError("--\(name) takes 1 or more, not \(value).")
      }
    }
    if let network, !(network > 0 && network < 1e6) {
      throw ValidationError("--network takes gigabytes a second above 0, not \(network).")
    }
    guard !inputs, slices == nil, write == nil else { return }
    for (name, value) in [
      ("teacher", teacher), ("student", student), ("samples", samples), ("run", run),
    ] where value == nil {
      throw ValidationError("Missing expected argument '--\(name) <\(name)>'.")
    }
  }

  func run(stage: Stage) throws {
    if let write { return try derive(write) }
    if let slices { return try writeSlices(slices, stage.preset) }
    if inputs {
      return try InputCheck(
        preset: stage.preset, teacher: teacher, student: student, samples: samples,
        benchmark: benchmark, images: images
      ).run()
    }
    guard let teacher, let student, let samples, let run else { return }
    let inputs = try RunInputs(
      teacher: teacher, student: student, samples: samples, ownSamples: teacherSamples)
    let survey = try SampleSurvey(inputs.studentSamples, limit: stage.limit)
    let plan = try RunPlan(
      teacher: inputs.teacher.checkpoint, student: inputs.student.checkpoint,
      preset: stage.preset, survey: survey, seed: stage.seed, threads: stage.threads)
    try Files.makeDirectory(run)
    if check {
      return try Readiness(inputs: inputs, plan: plan, directory: run, rates: nil).show()
    }
    let busy = Cores.busy
    if let busy { stage.log.warning("\(busy): what is planned takes less time on a quiet machine") }
    stage.log.info("rehearsing both backbones with one block each")
    let rates = try Rates(
      plan, teacherSamples: inputs.teacherSamples, studentSamples: inputs.studentSamples,
      directory: run)
    var table = PlanTable(plan: plan, stages: plan.stages(rates), rates: rates, directory: run)
    if let hours = stage.preset.run.budgetHours {
      let fitted = try Budget(
        hours: hours, plan: plan, samples: inputs.studentSamples, rates: rates)
      table = PlanTable(
        plan: fitted.plan, stages: fitted.plan.stages(rates), rates: rates, directory: run)
      table.budget = fitted.sentence
      if let budget { try writeAtomically("\(fitted.entries)\n", to: budget) }
    }
    table.busy = busy
    if nodes ?? cores != nil {
      table.machines = ClusterPlan.Machines(
        nodes: nodes ?? 1, cores: cores ?? Cores.usable,
        network: (network ?? 1.25) * 1e9)
    }
    // What is left is told by it while the run goes on.
    try writeAtomically(table.json + "\n", to: Files.join(run, ArtifactStatus.planName))
    print(format == .json ? table.json : table.text)
  }

  /// A preset of what the command line says, which was read already.
  private func derive(_ file: String) throws {
    guard let base = common.preset else {
      throw Failure(.usage, "--write needs the preset to extend", expected: "--preset FILE")
    }
    var sections: [(name: String, lines: [String])] = []
    for word in common.set {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let names = parts[0].split(separator: ".")
      let place = sections.firstIndex { $0.name == names[0] } ?? sections.count
      if place == sections.count { sections.append((String(names[0]), [])) }
      // The last word for a key is the one that counts.
      sections[place].lines.removeAll { $0.hasPrefix("  \(names[1]): ") }
      sections[place].lines.append("  \(names[1]): \(parts[1])")
    }
    let up = String(repeating: "../", count: Files.parent(of: file).split(separator: "/").count)
    var lines = ["extends: \(base.hasPrefix("/") ? base : up + base)"]
    for section in sections { lines += ["\(section.name):"] + section.lines }
    try Files.makeDirectory(Files.parent(of: file))
    try writeAtomically(lines.joined(separator: "\n") + "\n", to: file)
    _ = try Preset(contentsOf: file)
  }

  /// Every preset is read before a file is written. Without `--preset` there are variants alone.
  private func writeSlices(_ folder: String, _ preset: Preset) throws {
    var presets = common.preset == nil ? [] : [("", preset)]
    for word in variant {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        throw Failure(.usage, "--variant cannot be read", expected: "NAME=FILE", found: word)
      }
      presets.append((parts[0] + ".", try Preset(contentsOf: parts[1])))
    }
    let environment = ProcessInfo.processInfo.environment
    for (prefix, preset) in presets {
      let slices = PresetSlices(
        preset, seed: seedless ? nil : common.seed ?? preset.run.seed,
        brought: environment.filter { PresetSlices.inputs.contains($0.key) })
      let written = try slices.write(to: Files.join(folder, prefix))
      try StandardOutput.write(written.map { "\(prefix)\($0)\n" }.joined())
    }
  }
}

struct PlanOptions: ParsableArguments, StageOptions {
  @OptionGroup var settings: PresetOptions
  @OptionGroup var work: ThreadOptions
  @OptionGroup var chance: SeedOptions
  @OptionGroup var extent: LimitOptions
  @OptionGroup var log: LogOptions

  var preset: String? { settings.preset }
  var set: [String] { settings.set }
  var threads: Int? { work.threads }
  var seed: UInt64? { chance.seed }
  var limit: Int? { extent.limit }
}

PlanCommand.main()
