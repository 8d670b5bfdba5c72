import Artifacts
import Failures
import Kernels
import TestSupport
import Testing

@Suite struct SafetensorsTests {
  static func blob(_ header: String, data: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
      + Array(header.utf8) + [UInt8](repeating: 0, count: data)
  }

  @Test func `round trip of every type, empty and scalar tensors included`() throws {
    var tensors: [(name: String, tensor: RawTensor)] = ElementType.allCases.map {
      (
        $0.rawValue,
        RawTensor(type: $0, shape: [2, 3], bytes: (0..<(6 * $0.size)).map { UInt8($0) })
      )
    }
    tensors.append(("scalar", RawTensor(float32: [1.5], shape: [])))
    tensors.append(("empty", RawTensor(float32: [], shape: [0, 7])))
    let metadata = ["text": "\"quoted\"\n\u{1}é円", "": ""]
    let bytes = Safetensors.encode(tensors, metadata: metadata)
    let (found, text) = try Safetensors.decode(bytes, place: "blob")
    #expect(text == metadata)
    #expect(found.count == tensors.count)
    for (name, tensor) in tensors { #expect(found[name] == tensor) }
  }

  /// Each hostile header ends in 65 with the tensor's name where there is one.
  @Test(arguments: [
    ("", 0, "does not fit"),
    ("[]", 0, "not an object"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#, 8, "invalid JSON"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{}}"#, 8, "invalid JSON"),
    (#"{"a":{"dtype":"F32","shape":[2]}}"#, 8, "incomplete entry"),
    (#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#, 8, "unsupported element type"),
    (#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, 8, "bad shape"),
    (#"{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}"#, 8, "bad shape"),
    (#"{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}"#, 8, "bad shape"),
    (
      #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, 8,
      "too large"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,8]}}"#, 8,
      "too large"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}"#,
      8, "cut off"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}"#, 0,
      "too large"
    ),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8, "bad data_offsets"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}"#, 8, "bad data_offsets"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,16]}}"#, 8, "bad data_offsets"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1e3]}}"#, 8, "bad data_offsets"),
    (#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8, "do not fit together"),
    (#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, 8, "cut off"),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
      12, "overlap"
    ),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "unused bytes"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 9, "after the last tensor"),
    (String(repeating: #"{"a":"#, count: 5000), 0, "invalid JSON"),
    (#"{"\ud800":1e999}"#, 0, "invalid JSON"),
  ])
  func `hostile headers`(header: String, data: Int, what: String) {
    let bytes =
      header.isEmpty ? [255, 255, 255, 255, 255, 255, 255, 255] : Self.blob(header, data: data)
    let found = failure { _ = try Safetensors.decode(bytes, place: "x.safetensors") }
    #expect(found?.code == .badData)
    #expect(found?.what.contains(what) == true, "\(found?.description ?? "")")
    if header.hasPrefix(#"{"a":{"dtype""#), what != "invalid JSON", what != "after the last tensor"
    {
      #expect(found?.place?.contains("tensor ") == true)
    }
  }

  @Test func `no prefix and no flipped byte traps`() throws {
    let whole = Safetensors.encode(
      [
        ("a", RawTensor(float32: [1, 2, 3], shape: [3])), ("b", RawTensor(int32: [7], shape: [1])),
      ],
      metadata: ["k": "v"])
    for count in 0..<whole.count {
      #expect(failure { _ = try Safetensors.decode(Array(whole[..<count]), place: "x") } != nil)
    }
    for position in whole.indices {
      for bit in 0..<8 {
        var bytes = whole
        bytes[position] ^= 1 << bit
        _ = try? Safetensors.decode(bytes, place: "x")
      }
    }
  }

  @Test func `floats round to the nearest, ties to even`() throws {
    // 1 + 2^-8 lies between two bf16 numbers; 1 + 3 · 2^-8 likewise, the even one is above.
    let values: [Float] = [1.00390625, 1.01171875, -0, .infinity, 3.3895314e38, 65504, 1e-8]
    let wide = try RawTensor(values, as: .bfloat16, shape: [7]).floats()
    #expect(wide == [1, 1.015625, -0, .infinity, 3.3895314e38, 65536, wide[6]])
    #expect(abs(wide[6] - 1e-8) < 4e-11)
    #expect(try RawTensor([.nan], as: .bfloat16, shape: [1]).floats()[0].isNaN)
    #expect(
      try RawTensor([65519, 0.1], as: .float16, shape: [2]).floats() == [65504, 0.099975586])
    #expect(throws: Failure.self) { try RawTensor(int32: [1], shape: [1]).floats() }
    #expect(throws: Failure.self) {
      try RawTensor(type: .int64, shape: [1], bytes: [0, 0, 0, 0, 0, 0, 0, 1]).int32s()
    }
  }

  @Test func `JSON says the line and survives a round trip`() throws {
    let value: JSON = ["a": [1, 2.5, "x\n", nil, true], "b": ["c": -3, "d": 1e-05], "e": []]
    for pretty in [true, false] {
      #expect(try JSON(parsing: value.text(pretty: pretty), place: "x") == value)
    }
    let found = failure { _ = try JSON(parsing: "{\n\"a\": 1,\n}", place: "f.json") }
    #expect(found?.place == "f.json, line 3")
    for bad in [
      "", "01", "-01", "1.", "+1", "nul", "\"\\x\"", "\"\u{1}\"", "[1,]", "{\"a\"}", "1 2",
    ] {
      #expect(failure { _ = try JSON(parsing: bad, place: "x") }?.code == .badData, "\(bad)")
    }
    #expect(try JSON(parsing: "\"\\ud83d\\ude00\"", place: "x") == "😀")
  }

  @Test func `fingerprints are those of XXH3`() throws {
    // python: xxhash.xxh3_128_hexdigest(b"") and (b"vlsi")
    #expect(Fingerprint.bytes([]) == "99aa06d3014798d86001c324468d497f")
    var digest = Digest()
    digest.update("vl")
    digest.update("si")
    #expect(digest.value == Fingerprint.text("vlsi"))
    let folder = try TemporaryFolder()
    let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    try writeAtomically(bytes, to: folder("x"))
    #expect(try Fingerprint.file(folder("x")) == Fingerprint.bytes(bytes))
    #expect(
      Fingerprint.combine(["a": "1", "b": "2"]) != Fingerprint.combine(["a": "1b", "b": "2"]))
  }

  @Test func `names as people count`() {
    let names = ["hidden.last", "hidden.10", "layers.2.up.weight", "hidden.2", "a"]
    #expect(
      names.sorted(by: naturallyPrecedes)
        == ["a", "hidden.2", "hidden.10", "hidden.last", "layers.2.up.weight"])
  }
}
