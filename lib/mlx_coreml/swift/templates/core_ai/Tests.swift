// The inputs and expected outputs in Resources/example.json were computed where this package was written.
import CoreAI
import XCTest
import __NAME__

final class ParityTests: XCTestCase {
    func testPredictionsAsTheSystemPlacesThem() async throws {
        try await check(.default, "as the system places it")
    }

    func testPredictionsOnEveryComputeUnit() async throws {
        for unit in ComputeUnitKind.availableKinds {
            try await check(SpecializationOptions(preferredComputeUnitKind: unit), "on \(unit)")
        }
    }

    func check(_ options: SpecializationOptions, _ unit: String) async throws {
        let found = Bundle.module.url(forResource: "example", withExtension: "json")
        let file = try XCTUnwrap(found)
        let example = try JSONDecoder().decode(Example.self, from: Data(contentsOf: file))
        let network = try await __NAME__.load(options: options)
        for step in example.steps {
            let input = __NAME__.Input(__TEST_INPUTS__)
            let output = try await network.predict(input)
__TEST_OUTPUTS__
        }
    }
}
