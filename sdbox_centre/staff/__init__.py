"""What staff decide: acts signed with their cards, who may sign them, and what is made of them."""

from sdbox_centre.staff.old import CardShown, Staff, Validity

__all__ = ["CardShown", "Staff", "Validity"]
