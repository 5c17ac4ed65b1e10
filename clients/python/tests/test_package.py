"""The package as a whole: the oldest Python it runs on, what it needs, and that it says its types."""

from __future__ import annotations

import ast
import sys
import unittest
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "tidemark"


class Package(unittest.TestCase):
    def modules(self) -> "list[tuple[Path, ast.Module]]":
        # The grammar of 3.9.
        found = [(path, ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9)))
                 for path in sorted(PACKAGE.rglob("*.py"))]
        self.assertGreater(len(found), 5)
        return found

    def test_annotations_are_never_evaluated(self) -> None:
        for path, module in self.modules():
            with self.subTest(path.name):
                imports = [node for node in module.body if isinstance(node, ast.ImportFrom)]
                self.assertTrue(imports and imports[0].module == "__future__" and imports[0].names[0].name == "annotations")

    def test_only_the_standard_library_is_imported(self) -> None:
        known = getattr(sys, "stdlib_module_names", None)  # since Python 3.10
        if known is None:
            self.skipTest("this Python can't tell")
        for path, module in self.modules():
            for node in ast.walk(module):
                names = []
                if isinstance(node, ast.Import):
                    names = [name.name for name in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                for name in names:
                    with self.subTest(path.name, name=name):
                        self.assertIn(name.split(".")[0], known | {"tidemark"})

    def test_what_newer_pythons_brought_is_not_used(self) -> None:
        newer = {"eventfd", "pairwise", "TaskGroup", "ExceptionGroup", "StrEnum", "override", "Self",
                 "ParamSpec", "TypeAlias", "NotRequired", "batched", "file_digest", "add_note"}
        for path, module in self.modules():
            for node in ast.walk(module):
                name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
                with self.subTest(path.name):
                    self.assertNotIn(name, newer)
                if isinstance(node, ast.Call):
                    with self.subTest(path.name, line=node.lineno):
                        words = {keyword.arg for keyword in node.keywords}
                        self.assertFalse(words & {"slots", "kw_only", "strict"})

    def test_it_is_typed_and_says_what_it_gives(self) -> None:
        import tidemark

        self.assertTrue((PACKAGE / "py.typed").is_file())
        for name in tidemark.__all__:
            self.assertTrue(hasattr(tidemark, name), name)


if __name__ == "__main__":
    unittest.main()
