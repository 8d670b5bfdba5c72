import Foundation
import Testing

@testable import StageKit

@Suite struct DocumentationTests {
  private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// The keys that a heading's table gives, with the default beside each.
  private func tables() throws -> [String: [String: String]] {
    var tables: [String: [String: String]] = [:]
    var heading = ""
    let text = try String(contentsOfFile: "\(root)/docs/PRESETS.md", encoding: .utf8)
    for line in text.split(separator: "\n") {
      if line.hasPrefix("## ") { heading = String(line.dropFirst(3)) }
      guard line.hasPrefix("| `") else { continue }
      let cells = line.split(separator: "|", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      let keys = cells[1].split(separator: ",")
        .map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "` ")) }
      let isMapping = cells[2].hasPrefix("{")
      let defaults = isMapping ? [] : cells[2].components(separatedBy: ", ")
      for (number, key) in keys.enumerated() {
        tables[heading, default: [:]][key] =
          defaults.count == keys.count ? defaults[number] : cells[2]
      }
    }
    return tables
  }

  @Test("docs/PRESETS.md lists every key with its default, and no other")
  func presets() throws {
    let tables = try tables()
    let optimizer = try #require(tables.first { $0.key.hasPrefix("The optimizer") }?.value)
    guard case .object(let sections) = Preset().settings else { return }
    for (section, value) in sections {
      guard case .object(let pairs) = value else { continue }
      var documented = tables[section] ?? [:]
      if ["verbalize", "align", "finetune"].contains(section) {
        documented.merge(optimizer) { own, _ in own }
      }
      #expect(Set(documented.keys) == Set(pairs.map(\.key)), "\(section)")
      for (key, value) in pairs {
        let written = documented[key] ?? ""
        switch value {
        case .int(let number): #expect(Int(written) == number, "\(section).\(key)")
        case .number(let number): #expect(Double(written) == number, "\(section).\(key)")
        case .string(let text): #expect(written == text, "\(section).\(key)")
        case .bool(let flag): #expect(written == "\(flag)", "\(section).\(key)")
        case .null: #expect(written == "null", "\(section).\(key)")
        case .object: #expect(written == "{first: 2, every: 4}", "\(section).\(key)")
        case .list: break
        }
      }
    }
  }

  @Test("Every file that the pages link to is there")
  func links() throws {
    let manager = FileManager.default
    let pages =
      ["README.md", "CONTRIBUTING.md"]
      + (try manager.contentsOfDirectory(atPath: "\(root)/docs")).filter { $0.hasSuffix(".md") }
      .map { "docs/\($0)" }
    for page in pages {
      let text = try String(contentsOfFile: "\(root)/\(page)", encoding: .utf8)
      let folder = (page as NSString).deletingLastPathComponent
      for match in text.matches(of: /\]\(([^)#]+)[^)]*\)/) {
        let target = String(match.output.1)
        guard !target.contains("://") else { continue }
        let path = folder.isEmpty ? target : "\(folder)/\(target)"
        #expect(manager.fileExists(atPath: "\(root)/\(path)"), "\(page) links to \(target)")
      }
    }
  }
}
