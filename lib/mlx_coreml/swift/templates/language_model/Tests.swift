// Core ML generates the tokens that the reference runtime generated when the package was made.
import Foundation
import XCTest

@testable import __NAME__

struct Example: Decodable {
    let prompt: [Int]
    let tokens: [Int]
}

final class GreedyTests: XCTestCase {
    func testGreedyTokens() async throws {
        let place = try XCTUnwrap(Bundle.module.url(forResource: "example", withExtension: "json"))
        let example = try JSONDecoder().decode(Example.self, from: Data(contentsOf: place))
        try XCTSkipIf(example.tokens.isEmpty, "the package was not checked when it was made")
        let folder = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let generator = try await TextGenerator.load(folder: folder)
        let stop = example.tokens.firstIndex { generator.facts.stopTokens.contains($0) }
        let wanted = Array(example.tokens[..<(stop ?? example.tokens.count)])
        let found = try await generator.generate(example.prompt, maximum: wanted.count)
        XCTAssertEqual(found, wanted)
    }
}
