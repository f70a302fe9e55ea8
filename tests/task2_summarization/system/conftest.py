"""시스템 시험이 함께 쓰는 준비(fixture)."""

from course.checks.plugin import step_loader

load = step_loader(__file__)
