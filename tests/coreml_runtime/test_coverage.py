"""Every operation coremltools registers has a rule and a test; rules take the parameters MIL defines."""

from pathlib import Path

import pytest
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from coreml_runtime.coverage import INTERNAL, coverage
from coreml_runtime.execution import program
from coreml_runtime.execution.control_flow import CONTROL
from coreml_runtime.operations.registry import RULES, Tensor, operation, rule_of

assert program  # preparing programs files the rules


def test_every_operation_has_a_rule_and_a_test():
    records = coverage(Path(__file__).parent)
    assert len(records) == 168
    assert [record.operation for record in records if not record.implemented] == []
    assert [
        record.operation for record in records if not record.test and record.operation not in INTERNAL
    ] == []


@pytest.mark.parametrize("name", sorted(set(SSAOpRegistry.core_ops) - set(INTERNAL) - set(CONTROL)))
def test_rules_take_every_parameter_of_every_definition(name):
    rule = RULES[name]
    for definition in SSAOpRegistry.core_ops[name].values():
        parameters = definition.input_spec.input_types
        assert set(parameters) <= set(rule.parameters)
        required = {key for key, parameter in rule.parameters.items() if parameter.required}
        assert required <= set(parameters)


def test_two_rules_for_one_operation_are_refused():
    with pytest.raises(ValueError, match="operation 'relu' already has a rule"):

        @operation("relu")
        def again(x: Tensor):
            return x


def test_a_missing_rule_lists_the_known():
    with pytest.raises(NotImplementedError, match="no rule for operation 'teleport'; known are abs, acos"):
        rule_of("teleport")
