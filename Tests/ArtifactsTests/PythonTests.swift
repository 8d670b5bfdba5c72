import Foundation
import TestSupport
import Testing

@testable import Artifacts

@Suite struct PythonTests {
  /// The five lines of docs/ARTIFACTS.md, as they stand there.
  static let reader = """
    import lmdb, zstandard, safetensors
    shard = lmdb.open(path, subdir=False, readonly=True, lock=False)
    frame = shard.begin().get(sample.to_bytes(8, "big"))
    record = dict(safetensors.deserialize(zstandard.decompress(frame)))
    print(record["labels"]["dtype"], record["labels"]["shape"])
    """

  @Test func `the documented reader is the tested one`() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "docs/ARTIFACTS.md"), encoding: .utf8)
    #expect(page.contains(Self.reader))
  }

  @Test(
    .enabled(
      if: Python.has("lmdb", "zstandard", "safetensors"),
      "needs Python with lmdb, zstandard and safetensors: `make test` provides it as VLSI_PYTHON"))
  func `stock Python reads a record in five lines`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Array(0..<40))
    let script =
      """
      import sys
      path, sample = sys.argv[1], int(sys.argv[2])
      """ + "\n" + Self.reader + "\n"
        + """
        import struct
        n = record["labels"]["shape"][0]
        print(*struct.unpack(f"<{n}i", bytes(record["labels"]["data"])))
        data = bytes(record["hidden.last"]["data"])
        wide = [struct.unpack("<f", b"\\0\\0" + data[i:i+2])[0] for i in range(0, len(data), 2)]
        print(*(f"{x:.6g}" for x in wide[:5]))
        print(shard.stat()["entries"])
        """
    for index in [17, 24] {
      let shard = folder("a/shard-00001.lmdb")
      let (status, text) = Python.run(["-c", script, shard, String(index)])
      #expect(status == 0, "\(text)")
      let lines = text.split(separator: "\n")
      try #require(lines.count == 4)
      let expected = record(index)
      let labels = try expected.tensor("labels")
      // Older releases call the type by its header's name, newer ones by NumPy's.
      #expect(lines[0].hasSuffix("[\(labels.count)]"))
      #expect(try lines[1] == labels.int32s().map(String.init).joined(separator: " "))
      let values = try expected.tensor("hidden.last").floats().prefix(5)
      #expect(lines[2] == values.map { String(format: "%.6g", $0) }.joined(separator: " "))
      #expect(lines[3] == "16")
    }
  }
}
