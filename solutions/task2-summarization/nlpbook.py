"""저장소의 `nlpbook`으로 가는 문입니다. 여기에는 고칠 것이 없습니다.

파이썬은 모듈을 찾을 때 실행한 파일이 있는 폴더부터 봅니다. 그래서 단계 파일을 어디에서 실행해도 이 파일에 먼저 닿고,
이 파일은 한 폴더씩 올라가며 찾은 라이브러리로 저를 바꿉니다. 다른 곳에 깔려 있는 것을 모르는 사이에 쓰는 일이 없습니다.
"""

import sys
from importlib import import_module
from pathlib import Path

homes = [folder for folder in Path(__file__).resolve().parents if (folder / "nlpbook" / "__init__.py").is_file()]
if not homes:
    raise ModuleNotFoundError("nlpbook 폴더가 없습니다. 단계 파일은 강의 저장소 안에서 실행해 주세요.", name=__name__)
sys.path.insert(0, str(homes[0]))
del sys.modules[__name__]
import_module(__name__)
