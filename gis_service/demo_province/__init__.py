"""The demo province: a synthetic island of plans that contradict each other as real ones do.

``build`` gives editions with their layers; ``sample_sites`` the submissions to try on them. All
of it is invented, save the outline of the coast and the names of counties, and says so.
"""

from gis_service.demo_province.build import SEED, build
from gis_service.demo_province.edition import Chunk, DemoEdition, DemoLayer
from gis_service.demo_province.sites import SampleSite, sample_sites

__all__ = ["SEED", "Chunk", "DemoEdition", "DemoLayer", "SampleSite", "build", "sample_sites"]
