"""프로세스의 경계를 건너는 것들: 데이터를 읽는 보조 프로세스에 가중치를 보내지 않기.

macOS와 Windows, 그리고 Python 3.14부터는 Linux에서도 보조 프로세스가 처음부터 새로 시작합니다(spawn, forkserver).
그래서 로더의 데이터셋과 collate 함수가 pickle로 옮겨집니다. collate가 모델의 메서드라면 가중치까지 따라갑니다.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from torch import nn

Result = TypeVar("Result")


class without_weights(Generic[Result]):
    """모델의 메서드를, 보조 프로세스로 건너갈 때 가중치를 데려가지 않게 합니다.

    건너간 메서드의 `self`는 하위 모듈과 파라미터만 없는 같은 클래스의 모델입니다. 설정과 토크나이저는 그대로 있습니다.
    이 프로세스 안에서는 여느 메서드와 같습니다.
    """

    def __init__(self, function: Callable[..., Result]) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__

    @overload
    def __get__(self, module: None, owner: type) -> without_weights[Result]: ...

    @overload
    def __get__(self, module: nn.Module, owner: type) -> LightMethod[Result]: ...

    def __get__(self, module: nn.Module | None, owner: type) -> without_weights[Result] | LightMethod[Result]:
        return self if module is None else LightMethod(self.function, module)

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        return self.function(*args, **kwargs)


class LightMethod(Generic[Result]):
    """`without_weights`로 꾸민 메서드 하나. 모델과 묶여 있고, pickle하면 가중치를 두고 갑니다."""

    def __init__(self, function: Callable[..., Result], module: nn.Module) -> None:
        self.__func__ = function
        self.__self__ = module
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        return self.__func__(self.__self__, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LightMethod) and (self.__func__, self.__self__) == (other.__func__, other.__self__)

    def __hash__(self) -> int:
        return hash((self.__func__, self.__self__))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return getattr, (_shell_of(self.__self__), self.__name__)


def _shell_of(module: nn.Module) -> nn.Module:
    """같은 클래스, 같은 속성이지만 하위 모듈과 파라미터, 버퍼가 없는 모델."""
    shell: nn.Module = object.__new__(type(module))
    shell.__dict__.update(vars(module))
    for name in ("_modules", "_parameters", "_buffers"):
        shell.__dict__[name] = {}
    return shell
