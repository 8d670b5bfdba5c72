import Foundation

/// Unicode normalisation form C, as the tokenizers library has it: with the characters of
/// Unicode 9. A mark that was added later has combining class 0 there and composes with nothing.
///
/// Foundation's own normalisation cannot serve: it composes pairs that are none (U+1113 U+1167,
/// U+2006F U+0303) and leaves others apart.
enum Normalization {
  /// The form C of UTF-8 text; nil where that is the text itself.
  static func nfc(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    guard var position = firstActive(text, from: 0) else { return nil }
    var result: [UInt8] = []
    result.reserveCapacity(text.count + 8)
    var copied = 0
    var composer = Composer()
    while true {
      // What a character may change reaches back to the last one that never joins its left.
      let start = characterStart(text, before: position, notBefore: copied)
      result.append(contentsOf: text[copied..<start])
      var end = start
      while end < text.count {
        let (scalar, length) = UTF8Text.scalar(text, end)
        if end > position, NormalizationTable.isInert(scalar) { break }
        composer.add(scalar)
        end += length
      }
      composer.flush(into: &result)
      copied = end
      guard let next = firstActive(text, from: end) else { break }
      position = next
    }
    result.append(contentsOf: text[copied...])
    return result
  }

  static func nfc(_ text: String) -> String {
    var text = text
    return text.withUTF8 { bytes in nfc(bytes).map { String(decoding: $0, as: UTF8.self) } } ?? text
  }

  /// Where the first character stands that may change or be changed by its left, if any.
  private static func firstActive(_ text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    var position = start
    while position < text.count {
      if text[position] < 0xCC {
        // One byte, or two bytes below U+0300: always inert.
        position += 1
        continue
      }
      let (scalar, length) = UTF8Text.scalar(text, position)
      if !NormalizationTable.isInert(scalar) { return position }
      position += length
    }
    return nil
  }

  private static func characterStart(
    _ text: UnsafeBufferPointer<UInt8>, before position: Int, notBefore first: Int
  ) -> Int {
    var start = position
    while start > first {
      start -= 1
      if text[start] & 0xC0 != 0x80 { break }
    }
    return start
  }
}

/// Decomposes, orders and composes one stretch of characters that may influence each other.
private struct Composer {
  private var scalars: [(value: UInt32, rank: UInt8)] = []
  private var composed: [UInt32] = []

  mutating func add(_ scalar: UInt32) {
    if NormalizationTable.hangul.contains(scalar) {
      let index = scalar - 0xAC00
      scalars.append((0x1100 + index / 588, 0))
      scalars.append((0x1161 + index % 588 / 28, 0))
      if index % 28 > 0 { scalars.append((0x11A7 + index % 28, 0)) }
    } else if let parts = NormalizationTable.shared.decompositions[scalar] {
      for part in parts { scalars.append((part, NormalizationTable.combiningClass(part))) }
    } else {
      scalars.append((scalar, NormalizationTable.combiningClass(scalar)))
    }
  }

  mutating func flush(into result: inout [UInt8]) {
    order()
    var starter: Int?
    var last: UInt8 = 0
    for (value, rank) in scalars {
      if let starter, starter == composed.count - 1 || last < rank,
        let joined = NormalizationTable.shared.composite(composed[starter], value)
      {
        composed[starter] = joined
        continue
      }
      if rank == 0 { starter = composed.count }
      last = rank
      composed.append(value)
    }
    for value in composed {
      guard let scalar = Unicode.Scalar(value) else { continue }
      result.append(contentsOf: scalar.utf8)
    }
    scalars.removeAll(keepingCapacity: true)
    composed.removeAll(keepingCapacity: true)
  }

  /// Puts each run of marks in the order of their combining classes, equals as they stand.
  private mutating func order() {
    var start = 0
    while start < scalars.count {
      var end = start
      var isOrdered = true
      while end < scalars.count, scalars[end].rank > 0 {
        if end > start, scalars[end - 1].rank > scalars[end].rank { isOrdered = false }
        end += 1
      }
      if !isOrdered {
        // Sorted by place too: the standard library does not promise a stable sort.
        let sorted = (start..<end).sorted {
          (scalars[$0].rank, $0) < (scalars[$1].rank, $1)
        }.map { scalars[$0] }
        scalars.replaceSubrange(start..<end, with: sorted)
      }
      start = max(end, start + 1)
    }
  }
}

/// What normalisation knows of characters, gathered once from the standard library's properties.
private struct NormalizationTable {
  static let shared = NormalizationTable()
  static let hangul: ClosedRange<UInt32> = 0xAC00...0xD7A3
  /// The tokenizers library normalises with the tables of this version.
  private static let version = 9
  /// Above this, no scalar decomposes, composes or combines, but for the tags and selectors of
  /// plane 14, which do not either.
  private static let limit: UInt32 = 0x2_FA20

  /// Of a scalar that decomposes, the whole way down.
  private(set) var decompositions: [UInt32: [UInt32]] = [:]
  private var composites: [UInt64: UInt32] = [:]
  private var isActive: [Bool]

  static func isInert(_ scalar: UInt32) -> Bool {
    scalar >= limit || !shared.isActive[Int(scalar)]
  }

  static func combiningClass(_ value: UInt32) -> UInt8 {
    guard let scalar = Unicode.Scalar(value), case let properties = scalar.properties,
      case let rank = properties.canonicalCombiningClass.rawValue, rank > 0,
      isKnown(properties)
    else { return 0 }
    return rank
  }

  private static func isKnown(_ properties: Unicode.Scalar.Properties) -> Bool {
    properties.age.map { $0.major <= version } ?? false
  }

  private init() {
    isActive = (0..<NormalizationTable.limit).map { NormalizationTable.combiningClass($0) > 0 }
    for value in 0xC0..<NormalizationTable.limit {
      guard let scalar = Unicode.Scalar(value), !NormalizationTable.hangul.contains(value) else {
        continue
      }
      let isExcluded = scalar.properties.isFullCompositionExclusion
      guard isExcluded || value < 0x3100 || (0x1_1000..<0x1_2000).contains(value),
        NormalizationTable.isKnown(scalar.properties)
      else { continue }
      let parts = String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars.map(\.value)
      guard parts != [value] else { continue }
      decompositions[value] = parts
      isActive[Int(value)] = isActive[Int(value)] || isExcluded
    }
    // A composite is the composite of all its parts but the last, with the last.
    for (value, parts) in decompositions.sorted(by: { $0.value.count < $1.value.count })
    where Unicode.Scalar(value)?.properties.isFullCompositionExclusion == false {
      let first = parts.dropFirst().dropLast().reduce(parts[0]) { composite($0, $1) ?? $0 }
      let last = parts[parts.count - 1]
      composites[UInt64(first) << 32 | UInt64(last)] = value
      isActive[Int(last)] = true
    }
    for jamo in [0x1161...0x1175, 0x11A8...0x11C2] as [ClosedRange<Int>] {
      for value in jamo { isActive[value] = true }
    }
  }

  func composite(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if (0x1100..<0x1113).contains(first), (0x1161..<0x1176).contains(second) {
      return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
    }
    if NormalizationTable.hangul.contains(first), (first - 0xAC00) % 28 == 0,
      (0x11A8..<0x11C3).contains(second)
    {
      return first + second - 0x11A7
    }
    return composites[UInt64(first) << 32 | UInt64(second)]
  }
}
