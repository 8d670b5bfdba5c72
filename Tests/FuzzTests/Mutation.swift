import Artifacts
import Kernels

/// How a format's inputs are put together: what else than bytes can be changed in them.
enum Form {
  case bytes
  /// Numbers and words stand in it as text.
  case text
  case json
  /// A length, a header in JSON, and data.
  case safetensors
}

/// Changes an input a little, as damage, other writers and ill will do. The same seed gives the same.
struct Mutator {
  var noise: SplitMix64

  /// - Parameter seeds: whole inputs; one of them is changed, others lend parts.
  mutating func input(from seeds: [Seed], _ form: Form) -> [UInt8] {
    guard let seed = seeds.randomElement(using: &noise) else { return [] }
    var bytes = seed.bytes
    if let tree = seed.tree, one(in: 2) {
      var tree = tree
      for _ in 0..<times() { tree = changed(tree) }
      let text = Array(tree.text().utf8)
      bytes = form == .safetensors ? word(text.count) + text + seed.data : text
      if !one(in: 4) { return bytes }
    }
    for _ in 0..<times() { change(&bytes, seeds, form) }
    return bytes
  }

  private mutating func one(in chances: Int) -> Bool {
    Int.random(in: 0..<chances, using: &noise) == 0
  }

  private mutating func times() -> Int { one(in: 2) ? 1 : Int.random(in: 1...5, using: &noise) }

  private func word(_ value: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt64(value).littleEndian) { Array($0) }
  }

  // MARK: Bytes

  private static let whole: [Int] = [
    0, 1, 2, -1, 7, 8, 16, 127, 128, 255, 256, 512, 4096, 65535, 65536, 1 << 24, 1 << 31 - 1,
    1 << 31,
    1 << 32 - 1, 1 << 32, 1 << 33, 1 << 53, 1 << 62, .max, .min, -2, -1 << 31,
  ]
  private static let numbers = [
    "0", "-1", "1", "2", "-0", "0.5", "1.5", "2147483647", "2147483648", "-2147483648",
    "4294967296",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551616",
    "1e308", "1e309", "-1e308", "1e-320", "1e5", "1E+2", "NaN", "Infinity", "0x10", "1_000", "00",
    "",
    "99999999999999999999999999999999999999", "3.402824e38", "true", "null", "\"3\"", "[]", "{}",
  ]
  private static let words = [
    "\0", "\u{FEFF}", "\"", "\\", "\\u0000", "\\ud800", "\\udc00\\ud800", "\u{301}", "\u{1F600}",
    "..",
    "/", "\n", "\r\n", "\t", "<image>", "<|im_end|>", "<|image_pad|>", "{{", "{%-", "-%}", "{#",
    "null",
    "[", "]", "{", "}", ",", ":", "- ", "&a ", "*a", "!!binary ", "<<: *a", "|", ">", "'", "é",
    "data:",
  ]

  private mutating func range(_ count: Int, most: Int = 64) -> Range<Int> {
    let start = Int.random(in: 0...count, using: &noise)
    let longest = one(in: 8) ? count - start : min(most, count - start)
    return start..<(start + Int.random(in: 0...longest, using: &noise))
  }

  private mutating func change(_ bytes: inout [UInt8], _ seeds: [Seed], _ form: Form) {
    let place = Int.random(in: 0...bytes.count, using: &noise)
    switch Int.random(in: 0..<(form == .bytes ? 9 : 13), using: &noise) {
    case 0, 1:
      guard place < bytes.count else { return }
      bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &noise)
    case 2:
      guard place < bytes.count else { return }
      bytes[place] =
        [0, 1, 0x7F, 0x80, 0xFE, 0xFF, .random(in: 0...255, using: &noise)]
        .randomElement(using: &noise) ?? 0
    case 3:
      let same = one(in: 2) ? UInt8.random(in: 0...255, using: &noise) : nil
      for index in range(bytes.count) {
        bytes[index] = same ?? .random(in: 0...255, using: &noise)
      }
    case 4: bytes.removeSubrange(one(in: 2) ? place..<bytes.count : range(bytes.count))
    case 5:
      let part = Array(bytes[range(bytes.count)])
      for _ in 0..<(one(in: 16) ? 100 : 1) where bytes.count < 1 << 18 {
        bytes.insert(contentsOf: part, at: min(place, bytes.count))
      }
    case 6:
      guard let other = seeds.randomElement(using: &noise)?.bytes else { return }
      bytes.replaceSubrange(range(bytes.count), with: other[range(other.count, most: 256)])
    case 7:
      let count = Int.random(in: 1...8, using: &noise)
      bytes.insert(
        contentsOf: (0..<count).map { _ in UInt8.random(in: 0...255, using: &noise) }, at: place)
    case 8: overwriteNumber(&bytes, place)
    case 9, 10: editNumber(&bytes, place)
    case 11:
      bytes.insert(contentsOf: (Mutator.words.randomElement(using: &noise) ?? "").utf8, at: place)
    default:
      let word = Mutator.words.randomElement(using: &noise) ?? ""
      let count = one(in: 8) ? 20_000 : Int.random(in: 1...300, using: &noise)
      bytes.insert(contentsOf: String(repeating: word, count: count).utf8, at: place)
    }
  }

  /// A binary number of 1, 2, 4 or 8 bytes, of either order.
  private mutating func overwriteNumber(_ bytes: inout [UInt8], _ place: Int) {
    let value = Mutator.whole.randomElement(using: &noise) ?? 0
    let size = 1 << Int.random(in: 0...3, using: &noise)
    var number = Array(
      word(0).indices.map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }[..<size])
    if one(in: 2) { number.reverse() }
    let place = one(in: 2) ? place & ~(size - 1) : place
    guard place + size <= bytes.count else { return }
    bytes.replaceSubrange(place..<(place + size), with: number)
  }

  /// A number that is written as text, the next one behind `place`.
  private mutating func editNumber(_ bytes: inout [UInt8], _ place: Int) {
    func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    guard let start = bytes[place...].firstIndex(where: isDigit) else { return }
    let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
    bytes.replaceSubrange(
      start..<end, with: (Mutator.numbers.randomElement(using: &noise) ?? "0").utf8)
  }

  // MARK: Trees

  /// One value somewhere in the tree is another.
  private mutating func changed(_ json: JSON) -> JSON {
    if one(in: 4) { return replacement(json) }
    switch json {
    case .object(var members):
      guard let key = members.keys.sorted().randomElement(using: &noise), let value = members[key]
      else { return replacement(json) }
      switch Int.random(in: 0..<12, using: &noise) {
      case 0: members[key] = nil
      case 1: members[key + "_"] = value
      case 2:
        members[key] = members.keys.sorted().randomElement(using: &noise).flatMap { members[$0] }
      default: members[key] = changed(value)
      }
      return .object(members)
    case .array(var items):
      guard let index = items.indices.randomElement(using: &noise) else { return replacement(json) }
      switch Int.random(in: 0..<12, using: &noise) {
      case 0: items.remove(at: index)
      case 1: items.insert(items[index], at: index)
      case 2: items.reverse()
      case 3: items = Array(items.prefix(index))
      default: items[index] = changed(items[index])
      }
      return .array(items)
    default: return replacement(json)
    }
  }

  private mutating func replacement(_ json: JSON) -> JSON {
    switch Int.random(in: 0..<12, using: &noise) {
    case 0: return .null
    case 1: return .bool(one(in: 2))
    case 2: return .string("")
    case 3: return .string(String(repeating: "é\u{301}", count: one(in: 20) ? 20_000 : 20))
    case 4: return .array([json, json])
    case 5: return .object(["type": json, "default": json])
    case 6: return (0..<Int.random(in: 1...140, using: &noise)).reduce(json) { deep, _ in [deep] }
    case 7:
      return .number([0.5, -1, 1e308, -1e308, 1e-320, 4e18].randomElement(using: &noise) ?? 0)
    case 8:
      if case .string(let text) = json, let word = Mutator.words.randomElement(using: &noise) {
        return .string(one(in: 2) ? text + word : word + text)
      }
      return .int(-1)
    default:
      if case .int(let value) = json, one(in: 2) { return .int(value &+ (one(in: 2) ? 1 : -1)) }
      return .int(Mutator.whole.randomElement(using: &noise) ?? 0)
    }
  }
}

/// A sound input, with its tree where it has one.
struct Seed {
  var bytes: [UInt8]
  var tree: JSON?
  /// What follows the header, in safetensors.
  var data: [UInt8] = []

  init(_ bytes: [UInt8], _ form: Form) throws {
    self.bytes = bytes
    switch form {
    case .bytes, .text: break
    case .json: tree = try JSON(parsing: bytes, place: "a seed")
    case .safetensors:
      let length = try bytes.withUnsafeBytes {
        try SafetensorsHeader.length($0, total: bytes.count, place: "a seed")
      }
      tree = try JSON(parsing: Array(bytes[8..<(8 + length)]), place: "a seed")
      data = Array(bytes[(8 + length)...])
    }
  }
}
