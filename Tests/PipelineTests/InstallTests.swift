import Foundation
import TestSupport
import Testing

/// `make install` with a toolchain that takes no time, and the graph where it was installed.
/// Tests/Cluster/bare-root.sh does the same in earnest.
@Suite(.enabled(if: systemProgram("make") != nil)) struct InstallTests {
  /// The makers' workshop, beside a place to install to.
  private let shop: MakeTests.Workshop
  private var prefix: String { "\(shop.path)/the $HOME of \"it\"" }
  private var share: String { "\(prefix)/share/vlsi" }

  init() throws {
    shop = try MakeTests.Workshop()
    let swift = try shop.write(
      """
      #!/bin/sh
      echo "$*" >> builds
      mkdir -p .build/static && ln -sfn ../../programs .build/static/release

      """,
      to: "tools/swift")
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: swift)
    for name in try FileManager.default.contentsOfDirectory(atPath: "\(shop.path)/programs")
    where name != "stub" {
      try shop.write("", to: "Sources/\(name)/main.swift")
    }
  }

  private func make(_ arguments: String..., in folder: String? = nil) throws -> Outcome {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    return try run(
      try #require(systemProgram("make")), arguments, in: folder ?? shop.path,
      environment: ["PROGRAMS": programs, "PATH": "\(shop.path)/tools:\(path)"])
  }

  private func text(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }

  /// Every file below a folder with its size, mode and time.
  private func files(below folder: String) throws -> [String: String] {
    let manager = FileManager.default
    var found: [String: String] = [:]
    for name in try manager.subpathsOfDirectory(atPath: folder) {
      let facts = try manager.attributesOfItem(atPath: "\(folder)/\(name)")
      guard facts[.type] as? FileAttributeType == .typeRegular else { continue }
      found[name] = [FileAttributeKey.size, .posixPermissions, .modificationDate]
        .map { "\(facts[$0] ?? "")" }.joined(separator: " ")
    }
    return found
  }

  @Test("Without PREFIX, or with one that cannot be written, it says so before anything is built")
  func refusals() throws {
    let bare = try make("install")
    #expect(bare.code == 2)
    #expect(bare.errors.contains("error: PREFIX: expected the folder to install to, as in: make "))
    #expect(bare.errors.contains("install] Error 64"))
    let blocked = try make("install", "PREFIX=\(shop.path)/Makefile/x")
    #expect(blocked.code == 2)
    #expect(
      blocked.errors.contains("error: PREFIX: cannot write to \(shop.path)/Makefile/x/bin"),
      "\(blocked.errors)")
    #expect(blocked.errors.contains("install] Error 73"))
    #expect(text("\(shop.path)/builds").isEmpty)
  }

  @Test("make -n install shows every program of the package, and no other")
  func list() throws {
    let package = try String(contentsOfFile: "\(repository)/Package.swift", encoding: .utf8)
    let expected = Set(package.matches(of: /"(vlsi-[a-z]+)"/).map { String($0.output.1) })
    let shown = try make("-n", "install", "PREFIX=/nowhere", "DESTDIR=/stage", in: repository)
    #expect(shown.code == 0, "\(shown.errors)")
    let line = try #require(shown.output.split(separator: "\n").first { $0.hasPrefix("install ") })
    let words = line.split(separator: " ").map(String.init)
    #expect(words.last == "'/stage/nowhere/bin'")
    let installed = words.filter { $0.hasPrefix(".build/static/release/") }
      .map { ($0 as NSString).lastPathComponent }
    #expect(Set(installed) == expected && installed.count == expected.count, "\(installed)")
    #expect(!FileManager.default.fileExists(atPath: "/stage"))
    let version = try run("vlsi-plan", ["--version"]).output.trimmingCharacters(in: .newlines)
    let tarball = try make("-n", "tarball", in: repository).output
    #expect(tarball.contains(".build/vlsi-\(version)-"), "\(tarball)")
  }

  @Test("A second time changes nothing; presets of one's own stay; DESTDIR comes before")
  func twice() throws {
    let first = try make("install", "PREFIX=\(prefix)")
    #expect(first.code == 0, "\(first.errors)")
    let before = try files(below: prefix)
    let manager = FileManager.default
    for name in ["bin/vlsi-plan", "share/vlsi/Makefile", "share/vlsi/pipeline/2b.yaml"] {
      #expect(before[name] != nil, "\(name)")
    }
    #expect(manager.isExecutableFile(atPath: "\(prefix)/bin/vlsi-plan"))
    #expect(manager.isExecutableFile(atPath: "\(share)/pipeline/fanout.sh"))
    #expect(try make("install", "PREFIX=\(prefix)").code == 0)
    #expect(try files(below: prefix) == before)
    #expect(try make("install", "PREFIX=/opt/vlsi", "DESTDIR=\(shop.path)/stage").code == 0)
    #expect(try files(below: "\(shop.path)/stage/opt/vlsi") == before)
    #expect(
      text("\(shop.path)/builds").split(separator: "\n").allSatisfy {
        $0.contains("--static-swift-stdlib --scratch-path .build/static")
          && !$0.contains("-enable-testing")
      })
    try "extends: tiny.yaml\n".write(
      toFile: "\(share)/pipeline/mine.yaml", atomically: true, encoding: .utf8)
    #expect(try make("install", "PREFIX=\(prefix)").code == 0)
    #expect(manager.fileExists(atPath: "\(share)/pipeline/mine.yaml"))
  }

  @Test("The graph runs where it is installed, builds nothing, and says when programs are missing")
  func graph() throws {
    #expect(try make("install", "PREFIX=\(prefix)").code == 0)
    let manager = FileManager.default
    try manager.removeItem(atPath: "\(shop.path)/builds")
    let outcome = try make("-C", share, "distill-tiny")
    #expect(outcome.code == 0, "\(outcome.errors)")
    let calls = text("\(share)/calls").split(separator: "\n").map(String.init).sorted()
    #expect(calls == MakeTests.everything)
    #expect(try make("distill-tiny", in: share).output.hasPrefix("Nothing to do"))
    let again = try make("-B", "prepare-tiny", in: share)
    #expect(again.code == 0, "\(again.errors)")
    #expect(text("\(shop.path)/builds").isEmpty && text("\(share)/builds").isEmpty)

    // Somebody else's folder, with links to what is installed.
    let own = "\(shop.path)/own"
    try manager.createDirectory(atPath: own, withIntermediateDirectories: true)
    for part in ["Makefile", "pipeline", "data"] {
      try manager.createSymbolicLink(
        atPath: "\(own)/\(part)", withDestinationPath: "\(share)/\(part)")
    }
    #expect(try make("prepare-tiny", in: own).code == 0)
    #expect(manager.fileExists(atPath: "\(own)/runs/tiny/samples/manifest.json"))

    try manager.moveItem(atPath: "\(prefix)/bin", toPath: "\(prefix)/moved")
    let lost = try make("prepare-tiny", in: own)
    #expect(lost.code == 2)
    #expect(lost.errors.contains("error: no programs in pipeline/../../../bin"), "\(lost.errors)")
    try manager.createSymbolicLink(
      atPath: "\(own)/bin", withDestinationPath: "\(prefix)/moved")
    #expect(try make("BIN=bin", "prepare-tiny", in: own).code == 0)
  }
}
