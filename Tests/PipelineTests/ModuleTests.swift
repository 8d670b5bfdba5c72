import Foundation
import Models
import Testing

/// The list of modules in Package.swift and in CONTRIBUTING.md is what the imports say.
@Suite struct ModuleTests {
  private struct Module {
    var name: String
    var needs: Set<String>
  }

  private static func text(_ name: String) throws -> String {
    try String(contentsOfFile: "\(repository)/\(name)", encoding: .utf8)
  }

  private static func words(in text: some StringProtocol) -> [String] {
    String(text).matches(of: /"([A-Za-z0-9-]+)"/).map { String($0.1) }
  }

  /// The entries `("Name", ["A", …]…)` of the list called `list`; products by their own name.
  private static func modules(_ list: String) throws -> [Module] {
    let package = try text("Package.swift")
    let start = try #require(package.range(of: "let \(list)"))
    let end = try #require(package.range(of: "\n]\n", range: start.upperBound..<package.endIndex))
    return package[start.upperBound..<end.lowerBound]
      .matches(of: /\(\s*"([A-Za-z0-9-]+)",\s*\[([^\]]*)\]/)
      .map { Module(name: String($0.1), needs: Set(words(in: $0.2)).subtracting(packages)) }
  }

  /// Names of packages, not of modules.
  private static let packages: Set = ["swift-argument-parser", "swift-log"]

  /// What the sources of a module import of the system's libraries, of packages and of each other.
  private static func imports(_ module: String) throws -> Set<String> {
    let folder = "\(repository)/Sources/\(module)"
    var found: Set<String> = []
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder)
    where name.hasSuffix(".swift") {
      for line in try text("Sources/\(module)/\(name)").split(separator: "\n") {
        if let match = line.wholeMatch(of: /(?:@\w+ )?import (?:\w+ )?(\w+)(?:\..*)?/) {
          found.insert(String(match.1))
        }
      }
    }
    return found.subtracting(["Dispatch", "Foundation", "Glibc", "Synchronization"])
  }

  @Test func `Package.swift says what the imports say`() throws {
    for module in try Self.modules("floors") {
      #expect(try Self.imports(module.name) == module.needs, "\(module.name)")
    }
    for program in try Self.modules("stages") {
      // Every program has these without saying so.
      let own = try Self.imports(program.name).subtracting([
        "StageKit", "Failures", "ArgumentParser",
      ])
      #expect(own == program.needs, "\(program.name)")
    }
  }

  @Test func `a module imports from below only`() throws {
    var below: Set<String> = []
    let floors = try Self.modules("floors")
    #expect(floors.count > 12)
    let names = Set(floors.map(\.name))
    for module in floors {
      #expect(module.needs.intersection(names).isSubset(of: below), "\(module.name)")
      below.insert(module.name)
    }
    let folders = try FileManager.default.contentsOfDirectory(atPath: "\(repository)/Sources")
      .filter { $0.first != "C" || names.contains($0) }
    #expect(Set(folders) == names.union(try Self.modules("stages").map(\.name)))
  }

  @Test func `CONTRIBUTING lists the floors in their order`() throws {
    let table = try Self.text("CONTRIBUTING.md").matches(of: /(?m)^\| ([A-Z][A-Za-z, ]+) \|/)
      .flatMap { $0.1.split(separator: ", ").map(String.init) }
    #expect(table == (try Self.modules("floors")).map(\.name))
  }

  /// One place knows which families there are.
  @Test func `no family is named outside Models, Tokenization and Imaging`() throws {
    let parts = ["Qwen2", "Qwen3", "Llava", "OneVision", "qwen2", "qwen3", "llava_"]
    let families =
      parts
      + ModelFamilies.all.flatMap { family in
        let type = String(describing: family)
        return [
          family.modelType, family.familyName,
          String(type.dropLast("Config".count).prefix { $0.isLetter }),
        ]
      }
    #expect(families.contains("Qwen"))
    for module in try Self.modules("floors").map(\.name) + Self.modules("stages").map(\.name)
    where !["Models", "Tokenization", "Imaging", "Failures"].contains(module) {
      let folder = "\(repository)/Sources/\(module)"
      for name in try FileManager.default.subpathsOfDirectory(atPath: folder)
      where name.hasSuffix(".swift") {
        let code = try Self.text("Sources/\(module)/\(name)").split(separator: "\n")
          .filter { !$0.drop { $0 == " " }.hasPrefix("//") }
        for family in families {
          #expect(!code.contains { $0.contains(family) }, "\(module)/\(name): \(family)")
        }
      }
    }
  }
}
