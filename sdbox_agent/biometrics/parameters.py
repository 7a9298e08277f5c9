"""Every number the comparison rests on, with its unit and where it comes from."""

from __future__ import annotations

import math
from typing import Final

# -- Minutia Cylinder-Code: Cappelli, Ferrara, Maltoni, IEEE TPAMI 32(12), 2010, table 1 ----------

CYLINDER_RADIUS_PX: Final = 70.0  # R
BASE_CELLS: Final = 16  # N_S: cells along the diameter
LAYERS: Final = 6  # N_D: cells along the height, 2 pi in all
SPATIAL_SIGMA_PX: Final = 28 / 3  # sigma_S
DIRECTION_SIGMA_RAD: Final = 2 * math.pi / 9  # sigma_D
CELL_SIGMOID: Final = (0.01, 400.0)  # mu_Psi, tau_Psi
HULL_MARGIN_PX: Final = 50.0  # Omega
MIN_VALID_CELLS: Final = 0.75  # min_VC, of the cells inside the circle
MIN_NEIGHBOURS: Final = 2  # min_M: minutiae that contribute to a cylinder
MIN_MATCHABLE_CELLS: Final = 0.60  # min_ME, of the cells inside the circle
MAX_ROTATION_RAD: Final = math.pi / 2  # delta_theta
PAIRS_RANGE: Final = (4, 12)  # min n_P, max n_P
PAIRS_SIGMOID: Final = (20.0, 2 / 5)  # mu_P, tau_P; minutiae
RELAXATION_WEIGHT: Final = 0.5  # w_R
RELAXATION_ROUNDS: Final = 5  # n_rel
DISTANCE_SIGMOID: Final = (5.0, -8 / 5)  # mu_1, tau_1; pixels
DIRECTION_SIGMOID: Final = (math.pi / 12, -30.0)  # mu_2, tau_2; radians
RADIAL_SIGMOID: Final = (math.pi / 12, -30.0)  # mu_3, tau_3; radians

# -- ours ----------------------------------------------------------------------------------------

MAX_MINUTIAE: Final = 100  # the best of a template; noisy sensors give more, to their harm
MIN_PAIRS: Final = 2  # pairs of cylinders: fewer support nothing
MAX_WORTH: Final = 3.0  # of a minutia, in mean ones: one chance meeting must not decide
PROPOSALS: Final = 8  # motions proposed to registration, by the strongest pairs
REFINED_PROPOSALS: Final = 3  # motions worth refining
TOLERANCES: Final = ((14.0, 0.35), (12.0, 0.30), (10.0, 0.30))  # pixels, radians; a stage each
NOTHING_MEETS: Final = 1e-6  # soft count of pairs
FAINTEST_MEETING: Final = 12.0  # exponent: pairs that weigh less than e^-12 are none
OVERLAP_MARGIN_PX: Final = 8.0  # about a ridge period
BEND_REACH_PX: Final = 60.0  # how far skin goes along with a pair: seven ridges
STIFFNESS: Final = 1.0  # pairs' worth of no displacement
BENT_TOLERANCE: Final = (7.0, 0.30)  # pixels, radians: once bent, closer than without
BENDING_ROUNDS: Final = 2
UNSEEN: Final = 8.0  # minutiae taken to lie in the common area without a partner: few say little
SIMILARITY_POWER: Final = 0.25  # of the cylinders' similarity, beside the share that meets

# Contrast before detection. The first is two ridge periods; the second was chosen on six public
# sets together: with 12 grey levels noise becomes minutiae on the faintest sensor's set.
CONTRAST_RADIUS_PX: Final = 16
FAINTEST_GREY: Final = 20.0  # standard deviation, of 255
SPREAD_GREY: Final = 50.0  # standard deviation that contrast is brought to

# Quality gates (ours; threats.md faults 43 and 47).
MIN_MINUTIAE: Final = 12  # below: the old forensic minimum, and nothing to separate fingers by
MIN_CYLINDERS: Final = 6  # minutiae with neighbours all around
FEW_MINUTIAE: Final = 6  # enough to say that a finger is there, off centre
MIN_PROBE_AREA_MM2: Final = 40.0
MIN_REFERENCE_AREA_MM2: Final = 50.0
MIN_PROBE_QUALITY: Final = 12.0  # mean; libfprint with ppmm set, ordinary fingers: 35..60
GOOD_MINUTIAE: Final = 40
GOOD_AREA_MM2: Final = 150.0
GOOD_QUALITY: Final = 50.0

# Decision. Named by the rate of impostors' decisions (three touches of one finger against two
# fingers of three views) that reach it among virtual people: 32 of 324,000 reach 0.1330; this
# is the upper end of its 95 % interval, people drawn anew (python -m hil.calibrate). Of 60
# fingers of six public sets, real and of all qualities, 1 in 240 is refused at 0.1330 after
# three touches (95 %: 0 to 1.3 %); the highest of their 8,640 impostors' decisions is 0.100,
# which with 60 people excludes an FMR of 5 %, no less.
THRESHOLD_FMR_1E_4: Final = 0.1387
# Bands of accepted scores, for the ageing of a template: a twentieth of the accepted first
# touches of virtual people lies below the first, a half below the second.
FAIR_FROM: Final = 0.17
STRONG_FROM: Final = 0.31

# Ridges made plain by short-time Fourier analysis (ours; after Chikkerur, Cartwright, Govindaraju,
# Pattern Recognition 40(1), 2007). Chosen by six sets of real prints together.
WINDOW_PX: Final = 32  # three to four ridges
STEP_PX: Final = 16  # from window to window: half a one, so that Hann's add up to 1
RIDGE_PERIODS_PX: Final = (4.0, 18.0)  # at 500 ppi: a child's to a broad adult's
FLOOR_GREY: Final = 10.0  # weaker ridges are not raised to full contrast
DIRECTION_SMOOTHING_CELLS: Final = 0.75
PERIOD_SMOOTHING_CELLS: Final = 1.125
DIRECTION_WIDTH_RAD: Final = 0.35
PERIOD_WIDTH: Final = 0.35  # of the logarithm
CERTAINTY_RANGE: Final = (0.25, 0.40)  # from no ridges at all to ridges for certain
ENHANCED_GAIN_GREY: Final = 60.0  # a window's mean wave is this strong

# Directions from the ridges. Six sets together: 7 and 10 px do alike, 4 and 14 less.
TENSOR_SIGMA_PX: Final = 8.0  # about a ridge to either side
MAX_REFINEMENT_RAD: Final = 0.2  # the detector's step; farther off, the ridge bends or ends there
